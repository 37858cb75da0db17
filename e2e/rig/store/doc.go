// Package store runs real object stores for the rig and for tests: versitygw over a directory and MinIO for S3, Azurite
// for Azure, fake-gcs-server for Google's. Each is a child process at an address that the caller chooses, with data
// and log in a directory of its own, credentials made at random, and no request to anything outside.
//
// fake-gcs-server keeps its objects in memory, the others keep them in the directory: started there again with the same
// credentials, they have them still. Azurite and fake-gcs-server are emulators and not their providers' services:
// what only the service does, tests cannot see here.
package store
