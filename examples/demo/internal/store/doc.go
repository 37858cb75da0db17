// Package store is how the demo's applications keep their objects.
//
// An application says where its objects are and never learns which provider
// answers: the same program runs on blue with one store and on green with
// another, and only its configuration differs.
//
//	STORE_URL, STORE_ACCESS_KEY, STORE_SECRET_KEY
//	        |
//	      Open ── s3://bucket?endpoint=http://host:port&region=eu-1
//	        |      az://account/container?endpoint=http://host:port
//	        |      mem://name                     (this process only)
//	        v
//	      Store: Put, Get, List
package store
