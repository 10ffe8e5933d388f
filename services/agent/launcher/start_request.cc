#include "services/agent/launcher/start_request.h"

#include <stdlib.h>
#include <string.h>

namespace tessera::agent {
namespace {

// Length and terminating NUL of an empty text.
constexpr size_t kLeastText = 5;
constexpr size_t kLeastOperation = 16 + 4 * kLeastText;

char** ReadTexts(wire::Reader* reader) {
  const uint32_t count = reader->Count(kLeastText);
  char** texts = static_cast<char**>(calloc(count + size_t{1}, sizeof(char*)));
  for (uint32_t i = 0; texts != nullptr && i < count; ++i) {
    texts[i] = const_cast<char*>(reader->Text());
  }
  return texts;
}

bool ReadOperations(wire::Reader* reader, StartRequest* request) {
  const uint32_t count = reader->Count(kLeastOperation);
  auto* operations =
      static_cast<StartOperation*>(calloc(count + size_t{1}, sizeof(StartOperation)));
  if (operations == nullptr) return false;
  for (uint32_t i = 0; i < count; ++i) {
    StartOperation* o = &operations[i];
    const uint32_t kind = reader->U32();
    if (kind < static_cast<uint32_t>(wire::OperationKind::kEnterRoot) ||
        kind > static_cast<uint32_t>(wire::OperationKind::kProtectPath)) {
      return false;
    }
    o->kind = static_cast<wire::OperationKind>(kind);
    o->number = reader->U64();
    o->mode = reader->U32();
    o->first = reader->Text();
    o->second = reader->Text();
    o->third = reader->Text();
    o->fourth = reader->Text();
  }
  request->operations = operations;
  request->operation_count = count;
  return reader->ok();
}

}  // namespace

bool ParseStartRequest(const char* body, size_t size, StartRequest* request) {
  wire::Reader reader(body, size);
  if (!ReadOperations(&reader, request)) return false;
  request->switch_user = reader.U32() != 0;
  request->uid = reader.U32();
  request->gid = reader.U32();
  request->group_count = reader.Count(sizeof(uint32_t));
  auto* groups = static_cast<gid_t*>(calloc(request->group_count + size_t{1}, sizeof(gid_t)));
  if (groups == nullptr) return false;
  for (uint32_t i = 0; i < request->group_count; ++i) groups[i] = reader.U32();
  request->groups = groups;
  request->working_directory = reader.Text();
  request->program = reader.Text();
  request->arguments = ReadTexts(&reader);
  request->environment = ReadTexts(&reader);
  return request->arguments != nullptr && request->environment != nullptr && reader.AtEnd() &&
         request->program[0] != '\0' && request->arguments[0] != nullptr;
}

const char* FindVariable(char* const* environment, const char* name) {
  const size_t length = strlen(name);
  for (char* const* variable = environment; *variable != nullptr; ++variable) {
    if (strncmp(*variable, name, length) == 0 && (*variable)[length] == '=') {
      return *variable + length + 1;
    }
  }
  return nullptr;
}

}  // namespace tessera::agent
