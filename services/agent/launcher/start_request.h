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
  bool switch_user = false;
  uid_t uid = 0;
  gid_t gid = 0;
  const gid_t* groups = nullptr;
  uint32_t group_count = 0;
  const char* working_directory = "";
  const char* program = "";
  // Both end with a null pointer, as execve wants them.
  char* const* arguments = nullptr;
  char* const* environment = nullptr;
};

// False when the body is malformed, holds an unknown operation, or memory is short.
bool ParseStartRequest(const char* body, size_t size, StartRequest* request);

// The value of `name` in an environment, or null.
const char* FindVariable(char* const* environment, const char* name);

}  // namespace tessera::agent
