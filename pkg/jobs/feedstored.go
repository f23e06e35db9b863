package jobs

import "context"

// readStored shows the cursor what is stored, to its present end, or until the
// reader got something.
func (f *feed) readStored(ctx context.Context, some bool) error {
	c := f.cl.conn
	f.broken = c.nc.Stats().Reconnects
	if !f.job.Stream {
		return nil // its events are no text
	}
	stream, subject := c.n.replayStream(), c.n.replay(f.id)
	for !f.over && !(some && f.handed) && !f.whole() {
		if err := f.room(ctx); err != nil {
			return err
		}
		read := c.page
		if f.strict {
			read = c.leaderPage
		}
		list, err := read(ctx, stream, subject, max(f.read, f.seq))
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return nil
		}
		if err := f.show(ctx, list); err != nil {
			return err
		}
	}
	return nil
}

// show offers stored messages to the cursor. What is missing among them, if the
// leader says so too, is gone.
func (f *feed) show(ctx context.Context, list []*stored) error {
	for _, m := range list {
		msg, err := decodeReplay(m.Data)
		if err != nil {
			f.cl.log.Error("stored events cannot be read", "job_id", f.id.String(), "error", err)
			f.seq = m.Seq + 1
			continue
		}
		f.read = m.Seq + 1
		whole := f.stored.take(&msg)
		if whole == incomplete {
			continue
		}
		verdict, e := f.judge(&msg, whole, false)
		if verdict == missed {
			if f.strict {
				return f.gone(ctx)
			}
			f.strict, f.read, f.stored = true, 0, assembly{}
			return nil
		}
		f.seq = m.Seq + 1
		if err := f.take(ctx, verdict, e); err != nil || f.over || f.seq == 1 {
			return err
		}
	}
	f.strict = false
	return nil
}

// judge asks the cursor about a message. One that is not whole is missing, unless
// nobody wants it.
func (f *feed) judge(m *replayMessage, whole assembled, live bool) (offered, Event) {
	switch {
	case whole == incomplete:
		return passed, Event{}
	case whole == broken && m.next() > f.cursor.next:
		return missed, Event{}
	}
	return f.cursor.offer(m, live)
}
