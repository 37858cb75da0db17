// Package s3fake is a fake of an S3 server, in memory, and says so in its Server header.
//
// It has two uses. It can hold what the servers that one can run at home cannot: every key that S3 itself holds (`a/b` beside
// `a`, `//`, control characters), in the order of UTF-8 bytes. And it can be made to show what a real one shows once in a
// month: adversarial orders, torn reads, refused conditions, SlowDown, bodies that are cut, answers that lie about their
// length, connections that break.
//
// It enforces the documented rules that a client could otherwise break without noticing: conditional writes
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html), Content-MD5, the least size of parts and
// their order (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html), 2 KiB of user metadata. Signatures are not
// checked. A bucket can be filled with synthetic keys that take no memory, to measure listings.
package s3fake
