// Package scim is a SCIM 2.0 service (RFC 7643, RFC 7644) below /scim/v2: a directory such as Entra ID or Okta keeps users, and who has
// which role, up to date. A Group is a role.
//
// It owns the table scim_resource: what a directory tells of users and groups that a user or a role has no place for, sealed. What must hold:
//
//   - callers are authenticated by the edge and hold users:write; what they change of users passes the checks of [identity.Service] as
//     themselves, so that nobody gives a role that can do more than he, but for the roles that the operator trusts directories with;
//   - a filter or path that cannot be parsed is refused, never ignored; a filter in its printed form parses to itself;
//   - passwords are never told, and not changed here;
//   - what a page, a filter, a body and a bulk request may cost is bounded; the bounds are in ServiceProviderConfig.
package scim
