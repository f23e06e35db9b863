package anthropic

import (
	"cmp"
	"strings"

	"github.com/osiris/osiris/internal/provider"
)

// What a model takes of temperature and top_p.
const (
	samplingFull = "full" // both
	samplingOne  = "one"  // either, not both
	samplingNone = "none" // neither, except at its default
)

// How a model is made to think.
const (
	thinkingBudget   = "budget"   // a number of tokens
	thinkingAdaptive = "adaptive" // an effort
	thinkingNone     = "none"
)

// capability is what the mapping of a request must know of the model it goes to.
type capability struct {
	sampling   string
	thinking   string
	structured bool // output_config.format and strict tools
	maxOutput  int  // limit of max_tokens; 0 is not known
	output     int  // max_tokens of a request that names none
	xhigh, max bool // the efforts above "high" that it takes
	prefill    bool // the conversation may end with the assistant
}

// row is a capability and the names that it holds for.
type row struct {
	prefix string // of the name, up to its date or variant
	capability
}

// table returns what is known of Anthropic's models. A row holds for the model of
// that name in any dress: dated, "-latest", with a cloud's prefix or suffix.
func table() []row {
	legacy := capability{samplingFull, thinkingNone, false, 4096, 4096, false, false, true}
	late3 := legacy.withOutput(8192)
	four := capability{samplingFull, thinkingBudget, false, 64000, 64000, false, false, true}
	fourFive := capability{samplingOne, thinkingBudget, true, 64000, 64000, false, false, true}
	fourSix := capability{samplingOne, thinkingAdaptive, true, 64000, 64000, false, true, false}
	five := capability{samplingNone, thinkingAdaptive, true, 64000, 64000, true, true, false}
	opus41 := fourFive.withOutput(32000)
	return []row{
		{"claude-3-haiku", legacy}, {"claude-3-sonnet", legacy}, {"claude-3-opus", legacy},
		{"claude-3-5-haiku", late3}, {"claude-3-5-sonnet", late3},
		{"claude-3-7-sonnet", four},
		{"claude-sonnet-4", four}, {"claude-sonnet-4-0", four},
		{"claude-opus-4", four.withOutput(32000)}, {"claude-opus-4-0", four.withOutput(32000)},
		{"claude-opus-4-1", opus41},
		{"claude-haiku-4-5", fourFive}, {"claude-sonnet-4-5", fourFive}, {"claude-opus-4-5", fourFive},
		{"claude-sonnet-4-6", fourSix}, {"claude-opus-4-6", fourSix.withOutput(128000)},
		{"claude-opus-4-7", five.withOutput(128000)}, {"claude-opus-4-8", five.withOutput(128000)},
		{"claude-sonnet-5", five},
	}
}

func (c capability) withOutput(tokens int) capability {
	c.maxOutput, c.output = tokens, tokens
	return c
}

// capabilityOf returns what model can do: the fields that p sets, then the row of
// the model, then what is safe for its family.
func capabilityOf(model string, p provider.Profile) capability {
	c := known(model)
	c.sampling = cmp.Or(p.Sampling, c.sampling)
	c.thinking = cmp.Or(p.Thinking, c.thinking)
	if p.StructuredOutput != nil {
		c.structured = *p.StructuredOutput
	}
	if p.MaxOutput > 0 {
		c = c.withOutput(p.MaxOutput)
	}
	return c
}

// known looks model up in the table.
func known(model string) capability {
	name, claude := family(model)
	if claude {
		for _, r := range table() {
			if rest, ok := strings.CutPrefix(name, r.prefix); ok && sameModel(rest) {
				return r.capability
			}
		}
		// A Claude of a later day: each refused more sampling than the one before,
		// and what is left out is never refused.
		c := capability{samplingNone, thinkingNone, true, 0, 32000, false, false, false}
		if strings.Contains(name, "opus") || strings.Contains(name, "sonnet") {
			c.thinking = thinkingAdaptive
		}
		return c
	}
	// Another maker's model behind the same API: the plain parameters work.
	return capability{samplingFull, thinkingNone, false, 0, 8192, false, false, true}
}

// family strips what clouds and routers put before the name ("us.anthropic.",
// "anthropic/") and writes versions with dashes.
func family(model string) (name string, claude bool) {
	model = strings.ToLower(model)
	i := strings.Index(model, "claude-")
	if i < 0 {
		return model, false
	}
	return strings.ReplaceAll(model[i:], ".", "-"), true
}

// sameModel reports whether rest, what follows a row's prefix, is a date or a
// variant and not the minor number of another model.
func sameModel(rest string) bool {
	if rest == "" {
		return true
	}
	digits := len(rest[1:]) - len(strings.TrimLeft(rest[1:], "0123456789"))
	switch rest[0] {
	case '-':
		return digits == 0 || digits > 2
	case '@', ':':
		return true
	}
	return false
}
