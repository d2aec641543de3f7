package server

import "slices"

// A fairQueue has the sign-ins that wait: of each network its users, of each user a
// line. Networks take turns, and within a network its users do. Where there is no
// room for one more, the longest has to make some.
type fairQueue struct {
	ofUser, ofNetwork, altogether int

	networks []*waitingNetwork // whose turn is next comes first
	waiting  int
}

type waitingNetwork struct {
	key     limitKey
	users   []*waitingUser // whose turn is next comes first
	waiting int
}

type waitingUser struct {
	key  limitKey
	line []*waiter
}

// add puts one more into the queue. It returns the one that there is no room for:
// it, or another that leaves the queue in its place, or nil.
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

// makeRoom returns the last in line of the network's user with the most, if that has
// more than one of this user would then be.
func (n *waitingNetwork) makeRoom(forUser *waitingUser) *waiter {
	longest := slices.MaxFunc(n.users, func(a, b *waitingUser) int { return len(a.line) - len(b.line) })
	if forUser != nil && len(forUser.line)+1 >= len(longest.line) || len(longest.line) < 2 {
		return nil
	}
	return longest.line[len(longest.line)-1]
}

// makeRoom returns one of the network with the most, if that has more than this
// network would then have.
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

// remove takes one off the queue, and reports whether it was there.
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

// take takes off the queue whose turn it is, leaving out those that are not ready.
// It returns nil if nobody is.
func (q *fairQueue) take(ready func(*waiter) bool) *waiter {
	for i, network := range q.networks {
		for j, user := range network.users {
			w := user.line[0]
			if !ready(w) {
				continue
			}
			// Both go to the end, for this was their turn.
			network.users = append(slices.Delete(network.users, j, j+1), user)
			q.networks = append(slices.Delete(q.networks, i, i+1), network)
			q.remove(w)
			return w
		}
	}
	return nil
}
