// Somebody who watches the cluster's state at a state-svc: follows it as any client can, and keeps
// what it is told by a model of its own (rows.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tests/sim/reader_checker.h"
#include "tests/sim/state_process.h"
#include "tests/sim/world.h"

namespace tessera::sim {

class WatcherProcess : public Process {
 public:
  WatcherProcess(World* world, StateProcess* reader);

  const Rows& rows() const { return checker_.rows(); }
  bool has_state() const { return checker_.has_state(); }
  const StateProcess& reader() const { return *reader_; }

 private:
  void OnStart() override;
  void OnEnd() override;
  void Dial();
  void Hear(const std::string& bytes);

  World* world_;
  StateProcess* reader_;
  base::Rng rng_;
  ReaderChecker checker_;
  // The life of the state-svc that it heard last: another one may know less.
  uint64_t reader_life_ = 0;
  std::shared_ptr<Wire> wire_;
};

}  // namespace tessera::sim
