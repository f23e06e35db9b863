package workerpart

import (
	"testing"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/provider/upstream"
)

// TestKeyStaysWithItsServer holds that a target elsewhere gets no key but its own.
func TestKeyStaysWithItsServer(t *testing.T) {
	cfg, err := config.Load(config.Options{File: "testdata/targets.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	client := upstream.New(upstream.Config{})
	defer client.Close()
	wc, err := workerConfig(cfg, client)
	if err != nil {
		t.Fatal(err)
	}
	identities := map[string]string{}
	for _, s := range wc.Providers {
		identities[s.Name] = s.Identity
	}
	p := cfg.Providers["a"]
	p.BaseURL, p.Key, p.Headers = "http://elsewhere/v1", "", nil
	if got := identities["a of models.m.targets[1]"]; got != identity(p) {
		t.Errorf("another host: built from something else than its address: %v", identities)
	}
	p = cfg.Providers["a"]
	p.BaseURL = "http://home/v2"
	if got := identities["a of models.m.targets[2]"]; got != identity(p) {
		t.Errorf("same host: the key did not go along: %v", identities)
	}
	if wc.Models[0].Targets[0].Provider != "a" || wc.Reserved != 512 {
		t.Errorf("worker: %+v", wc)
	}
}
