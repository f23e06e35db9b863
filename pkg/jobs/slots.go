package jobs

// slots decides how many jobs to ask for. It holds numbers only.
//
// Invariant: running never exceeds total; what arrives beyond that is given back
// (rule 7, TestSlots).
type slots struct {
	total    int // jobs that may run together
	reserved int // of these, for interactive jobs only
	running  int
	asked    int // interactive jobs asked for and not yet delivered or refused
	askedLow int // the same for lower classes
	stopping bool
}

func (s *slots) free() int { return s.total - s.running }

// want is how many interactive jobs to ask for now: each free slot has one
// request out. Small top-ups wait until a quarter of the free slots lacks one, so
// that a worker with thousands of slots does not send a request per job.
func (s *slots) want() int {
	n := s.free() - s.asked
	if s.stopping || n <= 0 || (s.asked > 0 && n < s.free()/4) {
		return 0
	}
	return n
}

// wantLow is how many jobs of lower classes to ask for now: as many as would leave
// the reserved slots free.
func (s *slots) wantLow() int {
	if s.stopping {
		return 0
	}
	return max(0, s.free()-s.reserved-s.askedLow)
}

// take gives an arriving job a slot, or reports that there is none.
func (s *slots) take() bool {
	if s.stopping || s.running >= s.total {
		return false
	}
	s.running++
	return true
}

func (s *slots) release() { s.running-- }

// idle reports whether nothing runs and nothing can arrive.
func (s *slots) idle() bool { return s.running == 0 && s.asked == 0 && s.askedLow == 0 }
