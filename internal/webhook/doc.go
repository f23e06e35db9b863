// Package webhook posts events to the addresses that tenants registered. The queue
// (jobs.Courier) decides what is delivered, when and how often; this package makes
// one attempt and says how it went.
//
// Rules, each followed by the tests that hold it:
//
//  1. Every delivery is signed as Standard Webhooks asks for: headers webhook-id, the
//     same in every attempt, webhook-timestamp, the time of the attempt, and
//     webhook-signature, "v1," and the base64 of an HMAC-SHA256 over
//     id.timestamp.body. OpenAI's SDKs verify it (TestSDKUnwraps).
//  2. A 2xx is a delivery, 410 Gone switches the webhook off, everything else is a
//     failure. Redirects are not followed (TestOutcomes).
//  3. Only public addresses are called, and only by HTTPS, unless the configuration
//     allows private ones. What is checked is the address that is dialed, after the
//     name was resolved, so a name cannot change in between; no proxy of the
//     environment is used (TestAddresses, TestPrivateAddressIsRefused).
//  4. An attempt takes no longer than its timeout, however slowly the receiver talks,
//     and reads little of what it says (TestSlowReceiver, TestEndlessAnswer).
//  5. No log line and no outcome holds a secret or more of an address than its host
//     (TestNothingSecretIsLogged).
package webhook
