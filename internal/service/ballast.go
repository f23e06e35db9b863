package service

// ballast is how much later than by itself Go collects garbage, in bytes.
//
// A program with 10 MB in use would collect after every 10 MB allocated: at some
// thousand requests a second that is a tenth of its processor time. Memory that is
// only ever reserved counts as in use, and so moves the collections apart; the system
// gives no page for it. To a program with much in use it makes no difference.
const ballast = 8 << 20

// newBallast reserves it for as long as the result is kept.
func newBallast() []byte { return make([]byte, ballast) }
