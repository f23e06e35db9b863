package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

var errSecret = errors.New("its secret cannot be read")

// sign returns the timestamp and the signature of one attempt, see
// https://github.com/standard-webhooks/standard-webhooks.
func sign(secret, id string, at time.Time, body []byte) (timestamp, signature string, err error) {
	encoded, ok := strings.CutPrefix(secret, jobs.WebhookSecretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		return "", "", errSecret // the cause would repeat parts of it
	}
	timestamp = strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return timestamp, "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}
