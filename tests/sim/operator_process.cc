#include "tests/sim/operator_process.h"

#include <utility>

#include "tests/sim/master_process.h"

namespace tessera::sim {

namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(20);
constexpr absl::Duration kRetry = absl::Seconds(1);
// Of the calls, this part is about weights.
constexpr double kWeights = 0.2;
// Of the quotas, this part takes away what was there.
constexpr double kNoQuota = 0.3;

void Set(model::v1::Quantities* quantities, const std::string& name, int64_t milli) {
  (*quantities->mutable_amounts())[name].set_milli(milli);
}

}  // namespace

OperatorProcess::OperatorProcess(World* world, std::vector<std::string> masters,
                                 OperatorShape shape)
    : Process(&world->loop, "operators"),
      world_(world),
      masters_(std::move(masters)),
      shape_(std::move(shape)),
      rng_(world->rng.Fork()) {}

void OperatorProcess::OnStart() { ChangeLater(); }

void OperatorProcess::OnEnd() { world_->network.Drop(this); }

void OperatorProcess::ChangeLater() {
  if (shape_.pause == absl::InfiniteDuration()) return;
  Later(absl::Seconds(rng_.Exponential(absl::ToDoubleSeconds(shape_.pause))), [this] {
    if (settling_) return;
    const auto count = [this](const absl::Status& status) { changes_ += status.ok(); };
    if (rng_.Chance(kWeights)) {
      Ask(DrawWeights(), count);
    } else {
      Ask(DrawQuotas(), count);
    }
    ChangeLater();
  });
}

operators::v1::UpdateQuotaRequest OperatorProcess::DrawQuotas() {
  operators::v1::UpdateQuotaRequest request;
  request.set_force(rng_.Chance(0.7));
  std::vector<std::string> roles = shape_.roles;
  rng_.Shuffle(roles);
  roles.resize(1 + rng_.Below(std::min<size_t>(3, roles.size())));
  for (const std::string& role : roles) {
    auto* config = request.add_configs();
    config->set_role(role);
    if (rng_.Chance(kNoQuota)) continue;
    for (const auto& [name, total] :
         {std::pair{"cpus", shape_.cpus_milli}, std::pair{"mem", shape_.mem_milli}}) {
      // Seldom more than there is, seldom nothing at all.
      int64_t guarantee = 0;
      if (rng_.Chance(0.4)) {
        const double part = shape_.guarantee_max * rng_.Unit();
        guarantee = static_cast<int64_t>(static_cast<double>(total) * part);
        Set(config->mutable_guarantees(), name, guarantee);
      }
      if (rng_.Chance(0.5)) {
        const double part = rng_.Chance(0.1) ? 0 : 1.2 * rng_.Unit();
        Set(config->mutable_limits(), name,
            guarantee + static_cast<int64_t>(static_cast<double>(total) * part));
      }
    }
  }
  return request;
}

operators::v1::UpdateWeightsRequest OperatorProcess::DrawWeights() {
  operators::v1::UpdateWeightsRequest request;
  auto* weight = request.add_weights();
  weight->set_role(shape_.roles[rng_.Below(shape_.roles.size())]);
  weight->set_weight_milli(rng_.Between(shape_.weight_min, shape_.weight_max));
  return request;
}

operators::v1::UpdateQuotaRequest OperatorProcess::Agreed() const {
  operators::v1::UpdateQuotaRequest request;
  request.set_force(true);
  std::set<std::string> open(shape_.roles.begin(), shape_.roles.end());
  for (const AgreedQuota& agreed : shape_.agreed) {
    open.erase(agreed.role);
    auto* config = request.add_configs();
    config->set_role(agreed.role);
    if (agreed.guaranteed_cpus > 0) {
      Set(config->mutable_guarantees(), "cpus", agreed.guaranteed_cpus);
      Set(config->mutable_guarantees(), "mem", agreed.guaranteed_mem);
    }
    if (agreed.most_cpus > 0) {
      Set(config->mutable_limits(), "cpus", agreed.most_cpus);
      Set(config->mutable_limits(), "mem", agreed.most_mem);
    }
  }
  for (const std::string& role : open) request.add_configs()->set_role(role);
  return request;
}

void OperatorProcess::Settle() {
  settling_ = true;
  if (shape_.roles.empty() && shape_.agreed.empty()) {
    settled_ = true;
    return;
  }
  Ask(Agreed(), [this](const absl::Status& status) {
    settled_ = status.ok();
    changes_ += status.ok();
    if (!settled_) Later(kRetry, [this] { Settle(); });
  });
}

void OperatorProcess::Ask(master::OperatorRequest request,
                          std::function<void(const absl::Status&)> answer) {
  auto answered = std::make_shared<bool>(false);
  const auto once = [answered, answer = std::move(answer)](const absl::Status& status) {
    if (!std::exchange(*answered, true)) answer(status);
  };
  MasterProcess* master = world_->masters.at(masters_[rng_.Below(masters_.size())]);
  auto wire = world_->network.Connect({this, once}, {master, nullptr});
  Later(kCallTimeout, [once] { once(absl::DeadlineExceededError("no answer in time")); });
  if (wire == nullptr) return;
  wire->Send(this, [master, wire, once, request = std::move(request)] {
    master->OperatorCall(
        request, [master, wire, once](const absl::StatusOr<master::OperatorAnswer>& result) {
          wire->Send(master, [once, status = result.status()] { once(status); });
        });
  });
}

}  // namespace tessera::sim
