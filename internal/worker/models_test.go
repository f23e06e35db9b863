package worker

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/osiris/osiris/internal/provider"
)

func TestUsable(t *testing.T) {
	for name, want := range map[string]bool{
		"gpt-5": true, "org/model:tag": true, "/models/My Model.gguf": true, "模型": true, strings.Repeat("x", longestName): true,
		"": false, "a\nb": false, "a\x1b[2J": false, "a\u0085": false, "\xff": false, " a": false, "a ": false, strings.Repeat("x", longestName+1): false,
	} {
		good, dropped := usable([]provider.Model{{ID: name, OwnedBy: "bad\x00owner"}})
		if (len(good) == 1) != want || len(good)+dropped != 1 {
			t.Errorf("%q: served %v, %d left out", name, good, dropped)
		}
		if want && good[0].OwnedBy != "" {
			t.Errorf("owner %q", good[0].OwnedBy)
		}
	}
	var many []provider.Model
	for i := range mostListed + 3 {
		many = append(many, provider.Model{ID: strconv.Itoa(i)})
	}
	if good, dropped := usable(many); len(good) != mostListed || dropped != 3 {
		t.Errorf("%d of %d, %d left out", len(good), len(many), dropped)
	}
}

// TestModelsWaitsForProviders holds that the names are those of every provider, or
// after a while of those that answered.
func TestModelsWaitsForProviders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{err: errors.New("away"), ids: nil}
		quick, slow := &scripted{}, &scripted{}
		quick.list = (&shelf{ids: []string{"b", "a", "bad\nname"}}).list
		slow.list = s.list
		w := newTestWorker(t, Config{
			Providers: []ProviderSpec{
				{Name: "quick", Provider: quick, Discover: true, Refresh: time.Minute},
				{Name: "slow", Prefix: "slow/", Provider: slow, Discover: true, Refresh: time.Minute},
			},
			Models: []Model{{Name: "z", Targets: []Target{{Provider: "quick", Model: "up"}}}},
		})
		w.discovery.start(t.Context(), w.cfg.Providers)
		w.refresh()
		defer w.discovery.stop()
		ask := func() []string {
			ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
			defer cancel()
			return w.Models(ctx)
		}
		if got, want := ask(), []string{"z", "a", "b", "slow/…"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		s.set(nil, "c")
		if got, want := ask(), []string{"z", "a", "b", "c"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
