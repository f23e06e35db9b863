package jobs

import "time"

const (
	// laneTrust is how many failures in a row an endpoint may have before it is left
	// alone for a while.
	laneTrust = 3
	// laneRest is the first such while; it doubles up to laneRestMax.
	laneRest    = 5 * time.Second
	laneRestMax = 5 * time.Minute
	// lanePutOff bounds how long a delivery is put off for want of a place.
	lanePutOff = 10 * time.Minute
	// lanePace is the least time between two deliveries that are put off.
	lanePace = 10 * time.Millisecond
)

// lanes decide which deliveries run, so that an endpoint or a tenant takes no more
// than its share of a courier: one that is slow or dead delays nobody else. What
// finds no place is put off, each delivery to a time of its own at which a place can
// be expected, so however many wait they do not come back together.
//
// It is a plain value: no clock, no lock.
type lanes struct {
	perHook   int
	perTenant int
	hooks     map[string]*lane
	tenants   map[string]int // deliveries under way
}

// lane is what is known of one endpoint.
type lane struct {
	running  int
	failures int           // in a row
	rest     time.Time     // nothing is tried before it
	next     time.Time     // the last time that was given to a delivery put off
	took     time.Duration // by a delivery, lately
}

func newLanes(total int) lanes {
	return lanes{
		perHook: max(total/16, 1), perTenant: max(total/4, 1),
		hooks: map[string]*lane{}, tenants: map[string]int{},
	}
}

// enter takes a place for a delivery, which leave gives back. Without one it returns
// how long to put the delivery off, which is never 0.
func (l *lanes) enter(hook, tenant string, now time.Time) (putOff time.Duration) {
	w := l.hooks[hook]
	if w == nil {
		w = &lane{}
		l.hooks[hook] = w
	}
	places := l.perHook
	if w.failures >= laneTrust {
		places = 1 // a probe
	}
	if !now.Before(w.rest) && w.running < places && l.tenants[tenant] < l.perTenant {
		w.running++
		l.tenants[tenant]++
		return 0
	}
	from := now
	if w.rest.After(from) {
		from = w.rest
	}
	if w.next.After(from) {
		from = w.next
	}
	w.next = from.Add(max(w.took/time.Duration(places), lanePace))
	if latest := now.Add(lanePutOff); w.next.After(latest) {
		w.next = latest
	}
	return w.next.Sub(now)
}

// leave gives a place back.
func (l *lanes) leave(hook, tenant string) {
	l.hooks[hook].running--
	if l.tenants[tenant]--; l.tenants[tenant] == 0 {
		delete(l.tenants, tenant)
	}
}

// learn takes note of how an attempt went, before its place is given back.
func (l *lanes) learn(hook string, now time.Time, took time.Duration, ok bool) {
	w := l.hooks[hook]
	w.took = took
	if ok {
		w.failures, w.rest = 0, time.Time{}
	} else if w.failures++; w.failures >= laneTrust {
		w.rest = now.Add(min(laneRest<<min(w.failures-laneTrust, 10), laneRestMax))
	}
}

// sweep forgets endpoints that nothing is worth knowing of, such as deleted ones.
func (l *lanes) sweep(now time.Time) {
	for hook, w := range l.hooks {
		if w.running == 0 && now.After(w.next) && now.Sub(w.rest) > lanePutOff {
			delete(l.hooks, hook)
		}
	}
}
