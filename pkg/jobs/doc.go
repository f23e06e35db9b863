// Package jobs is the queue.
package jobs
