// Package bench measures what Osiris costs above a bare reverse proxy, in one run on
// one machine: a model server, a client and the system in between share the process,
// and the CPU time of all of them is divided by the requests answered. What the client
// and the model server cost alone is measured as "direct" and subtracted.
//
//	go test ./bench -run '^$' -bench Plain -benchtime 20000x
//	go test ./bench -run '^$' -bench Paced -benchtime 2000x
//
// Two more see how Osiris grows: by workers, and by keys, models and pools.
//
//	go test ./bench -run '^$' -bench Workers -benchtime 20x
//	go test ./bench -run '^$' -bench Installation -benchtime 4000x -keys 10000 -models 500 -pools 200
package bench
