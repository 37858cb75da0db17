// Package hot makes those requests past a provider's SDK of which a copy has one for each object: the SDKs prepare and sign them at
// several times the cost. What is rarer goes by the SDK.
//
//	driver: URL, headers, body ── signed ── throttle ── direct ── success ──> driver
//	                                                        └──── else nil ──> the driver asks again by its SDK
//
// A Wire knows success only. Any other answer, and any failure of the connection, is not interpreted: the SDK makes the request again
// and says what it means. So a write may arrive twice, as it does where an SDK tries again: it has a condition, which refuses the
// second one, or writes the same once more. Where many requests in a row fail, most are left to the SDK at once.
package hot
