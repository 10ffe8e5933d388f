#include "services/master/core/task_table.h"

#include "services/model/task_state.h"

namespace tessera::master {

bool NeedsPartitionAware(pb::TaskState state) {
  return model::NeedsPartitionAware(static_cast<model::TaskState>(state));
}

void SayWhichLaunch(const Task& task, pb::TaskStatus* status) {
  const feed::StatusPtr& newest = task.forwarded != nullptr ? task.forwarded : task.brought;
  pb::TaskStatus known;
  if (newest == nullptr || !known.ParseFromString(newest->bytes)) return;
  status->set_executor_id(known.executor_id());
  if (known.has_container_status()) {
    status->mutable_container_status()->Swap(known.mutable_container_status());
  }
  // What waits for its turn may know more of its health.
  if (task.forwarded != nullptr && known.has_healthy()) status->set_healthy(known.healthy());
}

}  // namespace tessera::master
