// Who leads: campaigns, and holds the lease of this process while it leads.
//
// A lease that is told by the campaign may have been on its way for any time, so leading begins
// only when a renewal was answered, whose age this process has measured itself. From then on the
// lease ends, for this process, `lease_margin` before the registry may give it away.
//
// A lease is given up in an order: the campaign ends, then a renewal goes the same way, and when
// that one is answered the registry has heard that the campaign is over: what is resigned then does
// not come straight back to this process.
//
// Invariants: `leads()` is true only before the lease's end; a resignation goes after the last
// renewal was answered, or after it has waited for that long enough.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/base/backoff.h"
#include "services/base/rng.h"
#include "services/master/core/master_config.h"
#include "services/master/core/outbox.h"
#include "services/master/core/request_ids.h"

namespace tessera::master {

class Leadership {
 public:
  Leadership(const MasterConfig* config, RequestIds* ids, base::Rng rng, Outbox* outbox);

  // Begins to strive.
  void Start();
  // Gives the lease up, if it is held, and strives no more. Says Stopped when that is done.
  void Stop(absl::Time now);

  void OnCampaignUpdate(absl::Time now, const CampaignUpdate& event);
  void OnCampaignEnded(absl::Time now, const CampaignEnded& event);
  void OnRenewed(absl::Time now, const Renewed& event);
  void OnResigned(absl::Time now, const Resigned& event);
  // Sends what is due, and ends the lease when its time is over. To be called first in each Step.
  void OnTime(absl::Time now);
  absl::Time NextDeadline() const;

  // The lease is renewed as soon as possible, because somebody knows of a higher epoch.
  void Doubt(absl::Time now);
  // This master must stop: its lease is given up, and it strives again after a wait.
  void GiveUp(absl::Time now, const std::string& why);

  bool leads() const { return state_ == State::kLeading; }
  uint64_t epoch() const { return epoch_; }
  // Why leading ended last.
  const std::string& lost_because() const { return lost_because_; }
  // `host:port` of the leader as far as is known; empty otherwise.
  const std::string& leader_address() const { return leader_address_; }

 private:
  enum class State : uint8_t {
    kStopped,
    kWaiting,     // before the next campaign
    kStriving,    // a campaign is open
    kConfirming,  // a lease was told; its renewal has not been answered yet
    kLeading,
    kEnding,     // the campaign is over; the last renewal is awaited
    kResigning,  // the answer to the resignation is awaited
  };

  void Campaign();
  void SendRenewal(absl::Time now);
  void Lose(absl::Time now, const std::string& why);
  void BeginResignation(absl::Time now);
  void Resign(absl::Time now);
  void FinishResignation(absl::Time now);
  bool holds() const { return state_ == State::kLeading || state_ == State::kConfirming; }

  const MasterConfig* config_;
  RequestIds* ids_;
  Outbox* outbox_;
  base::Rng rng_;
  base::Backoff campaign_retry_;
  base::Backoff renew_retry_;
  State state_ = State::kStopped;
  RequestId campaign_;
  std::string leader_address_;
  std::string lost_because_;
  uint64_t epoch_ = 0;
  absl::Time lease_until_ = absl::InfinitePast();
  // When the next campaign or renewal is due.
  absl::Time due_ = absl::InfiniteFuture();
  // The renewal on its way.
  RequestId renewal_;
  absl::Time renewal_sent_ = absl::InfinitePast();
  RequestId resignation_;
  // After the resignation there is no other campaign.
  bool stopping_ = false;
};

}  // namespace tessera::master
