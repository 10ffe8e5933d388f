// The kStart message as init reads it: pointers into the received frame.
//
// Parsing allocates only the arrays. Memory is not given back: an init parses once in its life.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "services/agent/launcher/wire.h"

namespace tessera::agent {

struct StartOperation {
  wire::OperationKind kind{};
  uint64_t number = 0;
  uint32_t mode = 0;
  const char* first = "";
  const char* second = "";
  const char* third = "";
  const char* fourth = "";
};

struct StartRequest {
  const StartOperation* operations = nullptr;
  uint32_t operation_count = 0;
  // Indices into the frame's descriptors, -1 where there is none: files by their role, then trees.
  int files[wire::kStartFileCount] = {-1, -1, -1, -1};
  uint32_t first_tree = 0;
  uint32_t tree_count = 0;
  bool switch_user = false;
  uid_t uid = 0;
  gid_t gid = 0;
  const gid_t* groups = nullptr;
  uint32_t group_count = 0;
  // No command then: the rest is empty.
  bool keeper = false;
  const char* working_directory = "";
  const char* program = "";
  // Both end with a null pointer, as execve wants them.
  char* const* arguments = nullptr;
  char* const* environment = nullptr;
};

// What is wrong with a request: 0, or
//   EBADMSG   malformed, a contradiction, or neither a command nor a keeper
//   ENOTSUP   a section, role or operation that is not known; `*unknown` is its number
//   ENOMEM    memory is short
// `descriptors`: how many came with the frame; each must be spoken for.
int ParseStartRequest(const char* body, size_t size, size_t descriptors, StartRequest* request,
                      uint32_t* unknown);

// The value of `name` in an environment, or null.
const char* FindVariable(char* const* environment, const char* name);

}  // namespace tessera::agent
