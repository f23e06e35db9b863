//go:build race

package natstest

// raceDetector says whether this binary is instrumented.
const raceDetector = true
