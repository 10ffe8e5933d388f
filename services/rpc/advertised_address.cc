#include "services/rpc/advertised_address.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace tessera::rpc {

std::string AdvertisedAddress(const std::string& advertise, const std::string& bound,
                              const std::string& hostname) {
  if (!advertise.empty()) return advertise;
  const size_t colon = bound.rfind(':');
  if (absl::StartsWith(bound, "unix:") || colon == std::string::npos) return bound;
  const std::string host = bound.substr(0, colon);
  const bool wildcard = host.empty() || host == "0.0.0.0" || host == "*" || host == "[::]" ||
                        host == "::" || host == "[0:0:0:0:0:0:0:0]" || host == "[::0]";
  if (!wildcard || hostname.empty()) return bound;
  // A machine that is named by an IPv6 address.
  const bool bare_ipv6 = absl::StrContains(hostname, ':') && !absl::StartsWith(hostname, "[");
  return absl::StrCat(bare_ipv6 ? absl::StrCat("[", hostname, "]") : hostname, bound.substr(colon));
}

}  // namespace tessera::rpc
