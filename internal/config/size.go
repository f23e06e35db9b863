package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written as 64MB, 8MiB or a plain number.
type Size int64

// String implements fmt.Stringer: the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits() {
		if s != 0 && u.bytes > 1 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

type sizeUnit struct {
	name  string
	bytes int64
}

func sizeUnits() []sizeUnit {
	return []sizeUnit{
		{"TB", 1e12}, {"GB", 1e9}, {"TiB", 1 << 40}, {"GiB", 1 << 30},
		{"MB", 1e6}, {"MiB", 1 << 20}, {"kB", 1e3}, {"KiB", 1 << 10}, {"B", 1},
	}
}

var errSize = errors.New("not a size")

func parseSize(text string) (Size, error) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit, scale := strings.TrimSpace(text[len(digits):]), int64(1)
	if unit != "" {
		scale = 0
		for _, u := range sizeUnits() {
			if strings.EqualFold(u.name, unit) || (len(u.name) == 2 && strings.EqualFold(u.name[:1], unit)) {
				scale = u.bytes
			}
		}
		if scale == 0 {
			return 0, errSize
		}
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		if n > math.MaxInt64/scale || n < math.MinInt64/scale {
			return 0, errSize
		}
		return Size(n * scale), nil
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsNaN(f) || math.Abs(f)*float64(scale) > 1<<62 {
		return 0, errSize
	}
	return Size(f * float64(scale)), nil
}
