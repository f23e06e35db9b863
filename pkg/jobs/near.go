package jobs

import "time"

// A frontend and a worker on one connection, as in a program that is both, need no broker
// between them for events: a frame is handed from the attempt to the stream, which does the
// same with it, without being encoded, collected with others, and written and read on its way
// through the server. It cannot be lost, and only its reader's window holds it up. Everything
// else takes the usual way: jobs and their confirmations, what the frontend tells the worker,
// questions of liveness, and the events of workers and frontends of other programs.

// neighbour returns the client of this connection that is the frontend; nil: none is.
func (c *Conn) neighbour(frontend string) *Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clients[frontend]
}

// settle makes the client known to workers on its connection, depart unknown.
func (cl *Client) settle() {
	cl.conn.mu.Lock()
	defer cl.conn.mu.Unlock()
	cl.conn.clients[cl.cfg.ID] = cl
}

func (cl *Client) depart() {
	cl.conn.mu.Lock()
	defer cl.conn.mu.Unlock()
	if cl.conn.clients[cl.cfg.ID] == cl {
		delete(cl.conn.clients, cl.cfg.ID)
	}
}

// hand is receive for one frame of a worker on this connection that is told things at
// control. It never blocks. A patient frame wakes nobody: it is read with the next one.
func (cl *Client) hand(f *frame, control string, h haste) {
	s := cl.stream(f.job)
	if s == nil {
		cl.unknown(f, control)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deliverLocked(f, control, time.Now())
	if s.hurry && h != patient {
		s.wakeLocked()
	}
}
