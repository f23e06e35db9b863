package config

import "strings"

// suggest returns the candidate that name most probably meant, or "".
func suggest(name string, candidates []string) string {
	best, distance := "", len(name)/3+1
	if distance > 3 {
		distance = 3
	}
	for _, c := range candidates {
		if strings.EqualFold(name, c) || strings.EqualFold(strings.ReplaceAll(name, "-", "_"), c) {
			return c
		}
		if d := editDistance(name, c); d <= distance && (best == "" || d < distance) {
			best, distance = c, d
		}
	}
	return best
}

// didYouMean is the remedy for a wrong name: the nearest right one, else all of them.
func didYouMean(name string, candidates []string) string {
	if s := suggest(name, candidates); s != "" {
		return "did you mean " + s + "?"
	}
	if len(candidates) == 0 {
		return ""
	}
	return "known here: " + strings.Join(candidates, ", ")
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
