#include "services/master/core/task_table.h"

#include "services/model/task_state.h"

namespace tessera::master {

bool NeedsPartitionAware(pb::TaskState state) {
  return model::NeedsPartitionAware(static_cast<model::TaskState>(state));
}

}  // namespace tessera::master
