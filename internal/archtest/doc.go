// Package archtest holds the architecture as tests: which package may import which,
// and which may touch what lies outside the module. Each rule says why it is there.
//
// It reads imports by asking the go command, so it sees what is really compiled. The
// same layers stand in .golangci.yml (depguard), where an editor shows them while the
// import is being written; this package is the one that decides.
package archtest
