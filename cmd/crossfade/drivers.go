package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/crossfade-project/crossfade"
	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/azure"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/file"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/gcs"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/minio"
	"github.com/crossfade-project/crossfade/bucketsync/bucket/s3"
	"github.com/crossfade-project/crossfade/cutover/zone"
	"github.com/crossfade-project/crossfade/cutover/zone/azuredns"
	"github.com/crossfade-project/crossfade/cutover/zone/clouddns"
	"github.com/crossfade-project/crossfade/cutover/zone/cloudflare"
	"github.com/crossfade-project/crossfade/cutover/zone/filezone"
	"github.com/crossfade-project/crossfade/cutover/zone/rfc2136"
	"github.com/crossfade-project/crossfade/cutover/zone/route53"
)

// openBucket opens a bucket with the driver of its provider.
func openBucket(ctx context.Context, s crossfade.Store) (bucket.Bucket, error) {
	b, err := openWhole(ctx, s)
	if err != nil {
		return nil, err
	}
	return bucket.Sub(b, s.Prefix), nil
}

func openWhole(ctx context.Context, s crossfade.Store) (bucket.Bucket, error) {
	switch s.Provider {
	case "s3":
		return s3.Open(ctx, s3.Options{
			Silence: s.Silence,
			Bucket:  s.Bucket, Endpoint: s.Endpoint, Region: s.Region,
			Credentials: s3.Credentials{AccessKey: s.AccessKey, SecretKey: s.SecretKey, Anonymous: s.Anonymous},
		})
	case "minio":
		return minio.Open(ctx, minio.Options{
			Silence: s.Silence,
			Bucket:  s.Bucket, Endpoint: s.Endpoint, Region: s.Region,
			Credentials: minio.Credentials{AccessKey: s.AccessKey, SecretKey: s.SecretKey, Anonymous: s.Anonymous},
		})
	case "gcs":
		return gcs.Open(ctx, gcs.Options{
			Silence: s.Silence,
			Bucket:  s.Bucket, Endpoint: s.Endpoint, Project: s.Project,
			Credentials: gcs.Credentials{ServiceAccount: []byte(s.SecretKey), Anonymous: s.Anonymous},
		})
	case "azure":
		return azure.Open(ctx, azure.Options{
			Silence: s.Silence,
			Account: s.Account, Container: s.Bucket, Endpoint: s.Endpoint,
			Credentials: azure.Credentials{AccountKey: s.SecretKey, Anonymous: s.Anonymous},
		})
	case "file":
		return file.Open(ctx, file.Options{Dir: s.Bucket})
	}
	return nil, fmt.Errorf("there is no driver for provider %q", s.Provider)
}

// zoneDrivers opens zones, each with the driver of its provider.
type zoneDrivers struct {
	route53    route53.Limits    // of all zones together
	cloudflare cloudflare.Limits // the same
}

func (d *zoneDrivers) open(ctx context.Context, z crossfade.ZoneConfig) (zone.Zone, error) {
	switch {
	case z.RFC2136 != nil:
		return rfc2136.New(rfc2136.Options{
			Apex: z.Name, Server: z.RFC2136.Server, Log: z.Log,
			Key: rfc2136.Key{Name: z.RFC2136.Key, Algorithm: z.RFC2136.Algorithm, Secret: z.RFC2136.Secret},
		})
	case z.Route53 != nil:
		p := z.Route53
		return route53.New(ctx, route53.Options{
			Apex: z.Name, HostedZone: p.HostedZone, Private: p.Private, Region: p.Region, Endpoint: p.Endpoint, Profile: p.Profile,
			Credentials: route53.Credentials{AccessKey: p.AccessKey, SecretKey: p.SecretKey}, Role: p.Role, ExternalID: p.ExternalID,
			Limits: &d.route53, Silence: z.Silence, Clock: z.Clock, Log: z.Log,
		})
	case z.CloudDNS != nil:
		p := z.CloudDNS
		return clouddns.New(ctx, clouddns.Options{
			Apex: z.Name, Project: p.Project, ManagedZone: p.ManagedZone, Endpoint: p.Endpoint,
			Credentials: clouddns.Credentials{ServiceAccount: []byte(p.ServiceAccount)}, Silence: z.Silence, Clock: z.Clock, Log: z.Log,
		})
	case z.AzureDNS != nil:
		p := z.AzureDNS
		return azuredns.New(ctx, azuredns.Options{
			Apex: z.Name, Subscription: p.Subscription, ResourceGroup: p.ResourceGroup, Tenant: p.Tenant, Client: p.Client, Secret: p.Secret,
			Endpoint: p.Endpoint, Gap: p.Gap, Silence: z.Silence, Clock: z.Clock, Log: z.Log,
		})
	case z.Cloudflare != nil:
		p := z.Cloudflare
		return cloudflare.New(ctx, cloudflare.Options{
			Apex: z.Name, ZoneID: p.ZoneID, Token: p.Token, Endpoint: p.Endpoint, Limits: &d.cloudflare, Silence: z.Silence, Clock: z.Clock, Log: z.Log,
		})
	case z.File != nil:
		return filezone.New(filezone.Options{Apex: z.Name, Path: z.File.Path, Log: z.Log})
	}
	return nil, errors.New("the file does not say who changes the zone")
}
