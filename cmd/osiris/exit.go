package main

// Exit codes of all commands. README.md has the same table.
const (
	exitDone        = 0   // what was asked for is done; of osiris up: it was told to stop, and has
	exitFailed      = 1   // it did not work: refused, not there, nobody answers, a faulty configuration
	exitUsage       = 2   // what was asked for makes no sense: the command line, or a file of requests
	exitUnanswered  = 3   // a batch that was waited for has failed, expired or was cancelled, or not every request has an answer
	exitInterrupted = 130 // Ctrl-C or SIGTERM, as shells say it; of osiris up: the second one
	exitUnread      = 141 // whoever read the output has gone, as shells say it
)
