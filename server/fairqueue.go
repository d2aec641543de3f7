package server

import "slices"

// A fairQueue holds the waiting sign-ins, in one line per user and network. Networks take
// turns, and within a network its users take turns. When the queue is full, a new sign-in
// may displace one of the network or the user with the most waiting sign-ins.
type fairQueue struct {
	ofUser, ofNetwork, altogether int

	networks []*waitingNetwork // in the order of their turns
	waiting  int
}

type waitingNetwork struct {
	key     limitKey
	users   []*waitingUser // in the order of their turns
	waiting int
}

type waitingUser struct {
	key  limitKey
	line []*waiter
}

// add puts a sign-in into the queue. It returns the sign-in for which there is no room:
// nil, or w itself, or another one that add has removed in favor of w.
func (q *fairQueue) add(w *waiter) (loser *waiter) {
	network, user := q.find(w)
	switch {
	case user != nil && len(user.line) >= q.ofUser:
		return w
	case network != nil && network.waiting >= q.ofNetwork:
		loser = network.makeRoom(user)
	case q.waiting >= q.altogether:
		loser = q.makeRoom(network, user)
	default:
		q.put(w)
		return nil
	}
	if loser == nil {
		return w
	}
	q.remove(loser)
	q.put(w)
	return loser
}

// makeRoom returns the sign-in to remove in favor of one more of this user: the last in
// the network's longest line. It returns nil if this user's line would become as long as
// that.
func (n *waitingNetwork) makeRoom(forUser *waitingUser) *waiter {
	longest := slices.MaxFunc(n.users, func(a, b *waitingUser) int { return len(a.line) - len(b.line) })
	if forUser != nil && len(forUser.line)+1 >= len(longest.line) || len(longest.line) < 2 {
		return nil
	}
	return longest.line[len(longest.line)-1]
}

// makeRoom returns the sign-in to remove in favor of one more of this network: the last
// in the longest line of the network with the most. It returns nil if this network would
// have as many as that.
func (q *fairQueue) makeRoom(forNetwork *waitingNetwork, forUser *waitingUser) *waiter {
	longest := slices.MaxFunc(q.networks, func(a, b *waitingNetwork) int { return a.waiting - b.waiting })
	switch {
	case longest == forNetwork:
		return longest.makeRoom(forUser)
	case longest.waiting < 2 || forNetwork != nil && forNetwork.waiting+1 >= longest.waiting:
		return nil
	}
	most := slices.MaxFunc(longest.users, func(a, b *waitingUser) int { return len(a.line) - len(b.line) })
	return most.line[len(most.line)-1]
}

func (q *fairQueue) find(w *waiter) (*waitingNetwork, *waitingUser) {
	for _, network := range q.networks {
		if network.key != w.network {
			continue
		}
		for _, user := range network.users {
			if user.key == w.user {
				return network, user
			}
		}
		return network, nil
	}
	return nil, nil
}

func (q *fairQueue) put(w *waiter) {
	network, user := q.find(w)
	if network == nil {
		network = &waitingNetwork{key: w.network}
		q.networks = append(q.networks, network)
	}
	if user == nil {
		user = &waitingUser{key: w.user}
		network.users = append(network.users, user)
	}
	user.line = append(user.line, w)
	network.waiting++
	q.waiting++
}

// remove removes a sign-in from the queue, and reports whether it was there.
func (q *fairQueue) remove(w *waiter) bool {
	network, user := q.find(w)
	if user == nil {
		return false
	}
	at := slices.Index(user.line, w)
	if at < 0 {
		return false
	}
	user.line = slices.Delete(user.line, at, at+1)
	network.waiting--
	q.waiting--
	if len(user.line) == 0 {
		network.users = slices.DeleteFunc(network.users, func(u *waitingUser) bool { return u == user })
	}
	if network.waiting == 0 {
		q.networks = slices.DeleteFunc(q.networks, func(n *waitingNetwork) bool { return n == network })
	}
	return true
}

// take removes and returns the sign-in whose turn it is. It skips those that are not
// ready, and returns nil if none is.
func (q *fairQueue) take(ready func(*waiter) bool) *waiter {
	for i, network := range q.networks {
		for j, user := range network.users {
			w := user.line[0]
			if !ready(w) {
				continue
			}
			// The network and the user have had their turn: they go to the end.
			network.users = append(slices.Delete(network.users, j, j+1), user)
			q.networks = append(slices.Delete(q.networks, i, i+1), network)
			q.remove(w)
			return w
		}
	}
	return nil
}
