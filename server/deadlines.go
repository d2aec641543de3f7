package server

import (
	"container/heap"
	"time"
)

// deadlines is a map from keys to times. It deletes a key when its time has come. When it
// holds more than limit keys, it deletes those with the earliest times. Therefore many
// new keys of an attacker, whose times are near, don't displace a key whose time repeated
// failures have moved far ahead.
type deadlines[K comparable] struct {
	limit  int
	byKey  map[K]*deadline[K]
	byTime deadlineHeap[K]
}

type deadline[K comparable] struct {
	key   K
	at    time.Time
	index int
}

func newDeadlines[K comparable](limit int) deadlines[K] {
	return deadlines[K]{limit: limit, byKey: make(map[K]*deadline[K])}
}

// get returns a key's time, if it is after now.
func (d *deadlines[K]) get(key K, now time.Time) (time.Time, bool) {
	entry, ok := d.byKey[key]
	if !ok || !entry.at.After(now) {
		return time.Time{}, false
	}
	return entry.at, true
}

func (d *deadlines[K]) has(key K, now time.Time) bool {
	_, ok := d.get(key, now)
	return ok
}

func (d *deadlines[K]) set(key K, at, now time.Time) {
	if entry, ok := d.byKey[key]; ok {
		entry.at = at
		heap.Fix(&d.byTime, entry.index)
	} else {
		entry := &deadline[K]{key: key, at: at}
		d.byKey[key] = entry
		heap.Push(&d.byTime, entry)
	}
	for len(d.byTime) > 0 && (len(d.byTime) > d.limit || !d.byTime[0].at.After(now)) {
		entry := heap.Pop(&d.byTime).(*deadline[K])
		delete(d.byKey, entry.key)
	}
}

// deadlineHeap is a [heap.Interface] with the earliest time first.
type deadlineHeap[K comparable] []*deadline[K]

func (h deadlineHeap[K]) Len() int           { return len(h) }
func (h deadlineHeap[K]) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

func (h deadlineHeap[K]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *deadlineHeap[K]) Push(x any) {
	entry := x.(*deadline[K])
	entry.index = len(*h)
	*h = append(*h, entry)
}

func (h *deadlineHeap[K]) Pop() any {
	last := len(*h) - 1
	entry := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return entry
}
