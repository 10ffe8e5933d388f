// For tests of RegistryCore: feeds one and plays its store.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "services/registry/core/registry_core.h"

namespace tessera::registry {

inline constexpr absl::Duration kTtl = absl::Seconds(10);

// Feeds a core and plays its store: what is persisted stays in `disk_` over Restart().
class RegistryCoreTest : public testing::Test {
 protected:
  void SetUp() override { Restart(); }

  // A new process that has not asked for anything yet.
  void Begin() {
    effects_.clear();
    core_ = std::make_unique<RegistryCore>(config_);
  }
  // A new process that acts.
  void Restart() {
    Begin();
    Step(Started{});
    EXPECT_EQ(All<AcquireStore>().size(), 1u);
    Acquire();
    Sync();
    EXPECT_EQ(core_->phase(), Phase::kActing);
    effects_.clear();
  }

  Effects& Step(Event event) {
    effects_.clear();
    core_->Step(now_, event, &effects_);
    return effects_;
  }

  // The store is the core's, as it is on the disk.
  Effects& Acquire() {
    ++term_;
    return Step(StoreAcquired{
        {.term = term_, .last_batch = last_batch_, .limits = limits_, .lasts = lasts_},
        std::make_shared<const StoreContents>(disk_)});
  }

  // The effects of one kind of the last step.
  template <typename T>
  std::vector<T> All() const {
    std::vector<T> found;
    for (const Effect& effect : effects_) {
      if (const T* one = std::get_if<T>(&effect)) found.push_back(*one);
    }
    return found;
  }
  template <typename T>
  T One() const {
    const std::vector<T> found = All<T>();
    EXPECT_EQ(found.size(), 1u);
    return found.empty() ? T{} : found.front();
  }
  // Effects of the last step that are no notes for people.
  size_t Acts() const { return effects_.size() - All<Note>().size(); }

  // The batch of the last step's Persist is on the disk.
  void WriteToDisk(const Persist& persist) {
    EXPECT_EQ(persist.guard, (Guard{term_, last_batch_ + 1}));
    last_batch_ = persist.guard.number;
    std::map<std::string, Record> records;
    for (const Record& record : disk_.records) records[record.key] = record;
    for (const auto& commit : persist.batch.commits) {
      EXPECT_EQ(commit->version, disk_.version + 1);
      disk_.version = commit->version;
      for (const Write& write : commit->writes) {
        records.erase(write.key);
        if (write.value != nullptr) {
          records[write.key] = {write.key, write.value, commit->version};
        }
      }
    }
    disk_.records.clear();
    for (const auto& [key, record] : records) disk_.records.push_back(record);
    if (persist.batch.lease != nullptr) {
      EXPECT_GE(persist.batch.lease->leader.epoch, disk_.lease.leader.epoch) << "epochs only grow";
      disk_.lease = *persist.batch.lease;
    }
  }
  // Writes the batch of the last step's Persist to the disk and says so.
  Effects& Sync() {
    const Persist persist = One<Persist>();
    WriteToDisk(persist);
    return Step(Persisted{persist.guard.number});
  }
  // Answers Settle: what was in doubt is on the disk, or never will be.
  Effects& SettleAs(bool done, const Persist& persist) {
    if (done) {
      WriteToDisk(persist);
    } else {
      last_batch_ = persist.guard.number;
    }
    return Step(Settled{persist.guard.number, done});
  }

  static CommitRequested Put(CallId call, std::string key, std::string value, Epoch epoch = 0) {
    return {
        .call = call, .epoch = epoch, .writes = {{std::move(key), MakeValue(std::move(value))}}};
  }
  static CampaignRequested Run(StreamId stream, std::string id) {
    return {.stream = stream, .candidate_id = id, .address = id + ":1"};
  }

  // Lets a candidate campaign and win the free lease.
  Epoch Win(StreamId stream, const std::string& id) {
    Step(Run(stream, id));
    Sync();
    for (const CampaignSend& send : All<CampaignSend>()) {
      if (send.stream == stream && send.won_for.has_value()) return send.leader->epoch;
    }
    ADD_FAILURE() << id << " has not won";
    return 0;
  }

  RegistryConfig config_{.lease_ttl = kTtl};
  absl::Time now_ = absl::FromUnixSeconds(1000);
  StoreContents disk_;
  Term term_ = 0;
  BatchNumber last_batch_ = 0;
  GroupLimits limits_{.writes_max = 1 << 16, .bytes_max = 64 << 20};
  absl::Duration lasts_ = absl::InfiniteDuration();
  std::unique_ptr<RegistryCore> core_;
  Effects effects_;
};

}  // namespace tessera::registry
