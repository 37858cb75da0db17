// Package azurefake is a fake of Azure Blob Storage with a hierarchical namespace (Data Lake Storage Gen2), in memory, and says so in
// its Server header. Azurite, Azure's own emulator, has flat namespaces only.
//
//	PUT ?restype=container · GET ?comp=list · Put Blob, Put Block, Put Block List · Get, Head, Delete · Get Account Information
//	                                   └── tree: a path is a directory or a blob ──┘
//
// It holds clients to what Microsoft documents:
//   - Get Account Information tells x-ms-is-hns-enabled to whom it answers
//     (https://learn.microsoft.com/rest/api/storageservices/get-account-information).
//   - List Blobs shows directories beside blobs, with ResourceType and hdi_isfolder, rights where they are asked for; a prefix that
//     leads through a blob is an error (https://learn.microsoft.com/rest/api/storageservices/list-blobs).
//   - Delete Blob removes a directory only where it is empty, and blobs made by the other API are not written over in blocks
//     (https://learn.microsoft.com/azure/storage/blobs/data-lake-storage-known-issues).
//   - There are no index tags (https://learn.microsoft.com/azure/storage/blobs/storage-feature-support-in-storage-accounts).
//   - A path has at most 63 parts, host and container among them
//     (https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata).
//
// And to what others saw of the service:
//   - Listings go by the parts of paths: A, A/dat1, A-B (https://github.com/Azure/azure-sdk-for-go/issues/24210).
//   - Writing a blob makes the directories above it, and deleting it leaves them. A directory is made with an empty blob whose name ends with a
//     slash; with such a name nothing is deleted: 400 InvalidUri (https://github.com/rclone/rclone/issues/7047).
//   - 409 DirectoryIsNotEmpty (https://github.com/Azure/azure-cli/issues/23062), 400 OperationNotSupportedOnDirectory where snapshots
//     are to go too (https://github.com/Azure/azure-storage-fuse/issues/1068), 400 InvalidQueryParameterValue for tags
//     (https://github.com/Azure/azure-sdk-for-net/issues/39388), 409 for a path of which a part is of the other kind
//     (https://github.com/Azure/azure-storage-azcopy/issues/798).
//
// With Options.Versions it is an account with a flat namespace that keeps versions: a write and a deletion make a previous version of what was
// there, versions are listed the oldest first, and the current one is not deleted by its id
// (https://learn.microsoft.com/azure/storage/blobs/versioning-overview, https://learn.microsoft.com/rest/api/storageservices/delete-blob).
//
// Where neither says how the service refuses something, the fake refuses it in a way of its own: empty names between slashes, a blob where
// a directory is, tags on a write. Signatures are not checked.
package azurefake
