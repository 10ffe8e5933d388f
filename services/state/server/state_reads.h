// The answers of StateService's calls, from one snapshot each.
//
// A page token names the snapshot and the last key of the page before it. Snapshots that have pages
// out are kept for a while, so that a list is of one moment; when one is gone the list goes on from
// the same key in the newest.
//
// Threads: any.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "protos/tessera/state/v1/state_service.pb.h"
#include "services/feed/core/snapshot.h"

namespace tessera::state {

namespace pb = ::tessera::model::v1;
using feed::SnapshotPtr;

class StateReads {
 public:
  using GetSnapshot = std::function<SnapshotPtr()>;

  explicit StateReads(GetSnapshot get) : get_(std::move(get)) {}

  // UNAVAILABLE when there is no state yet. INVALID_ARGUMENT (INVALID_FIELD) for a page token or a
  // filter that is malformed.
  absl::StatusOr<v1::GetClusterResponse> GetCluster(double feed_age_seconds);
  absl::StatusOr<v1::ListAgentsResponse> ListAgents(const v1::ListAgentsRequest& request);
  absl::StatusOr<v1::ListFrameworksResponse> ListFrameworks(
      const v1::ListFrameworksRequest& request);
  absl::StatusOr<v1::ListTasksResponse> ListTasks(const v1::ListTasksRequest& request);
  absl::StatusOr<v1::ListOffersResponse> ListOffers(const v1::ListOffersRequest& request);
  absl::StatusOr<v1::ListRolesResponse> ListRoles(const v1::ListRolesRequest& request);

 private:
  // Where a page begins.
  struct Start {
    SnapshotPtr snapshot;
    size_t size = 0;
    // The keys after which it goes on; empty: from the beginning.
    std::vector<std::string> after;

    const std::string* key() const { return after.empty() ? nullptr : &after.back(); }
  };
  absl::StatusOr<Start> Begin(const v1::Page& page, size_t keys);
  // The token of the next page; keeps the snapshot.
  std::string TokenFor(const SnapshotPtr& snapshot, const std::vector<std::string>& after);
  // One page of a map: adds what `take` wants, until the page is full.
  template <typename Map, typename Take>
  std::string FillPage(const Start& start, const Map& map, Take take);

  const GetSnapshot get_;
  absl::Mutex mu_;
  std::deque<SnapshotPtr> kept_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tessera::state
