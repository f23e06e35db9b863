package frontendpart

import "testing"

func TestIsLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "localhost:80": true, "[::1]:80": true, "127.8.9.1:80": true, "[::ffff:127.0.0.1]:1": true,
		":80": false, "0.0.0.0:80": false, "10.0.0.1:80": false, "[::]:80": false, "example.com:80": false, "x": false,
	} {
		if got := isLoopback(address); got != want {
			t.Errorf("%s: %t", address, got)
		}
	}
}
