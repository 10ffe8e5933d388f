#include "services/agent/launcher/start_request.h"

#include <errno.h>
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

// Every reader of a section returns as ParseStartRequest does.
int Ended(const wire::Reader& section) { return section.AtEnd() ? 0 : EBADMSG; }

bool Known(wire::OperationKind kind) {
  switch (kind) {
    case wire::OperationKind::kEnterRoot:
    case wire::OperationKind::kMount:
    case wire::OperationKind::kAttachTree:
    case wire::OperationKind::kMakeDirectory:
    case wire::OperationKind::kRaiseLoopback:
    case wire::OperationKind::kMakeNode:
    case wire::OperationKind::kMakeSymlink:
    case wire::OperationKind::kSetHostname:
    case wire::OperationKind::kMakeTargetLikeTree:
    case wire::OperationKind::kProtectPath:
      return true;
  }
  return false;
}

int ReadOperations(wire::Reader* section, StartRequest* request, uint32_t* unknown) {
  const uint32_t count = section->Count(kLeastOperation);
  auto* operations =
      static_cast<StartOperation*>(calloc(count + size_t{1}, sizeof(StartOperation)));
  if (operations == nullptr) return ENOMEM;
  for (uint32_t i = 0; i < count; ++i) {
    StartOperation* o = &operations[i];
    o->kind = static_cast<wire::OperationKind>(section->U32());
    o->number = section->U64();
    o->mode = section->U32();
    o->first = section->Text();
    o->second = section->Text();
    o->third = section->Text();
    o->fourth = section->Text();
    if (!section->ok()) return EBADMSG;
    if (!Known(o->kind)) {
      *unknown = static_cast<uint32_t>(o->kind);
      return ENOTSUP;
    }
  }
  request->operations = operations;
  request->operation_count = count;
  return Ended(*section);
}

int ReadFiles(wire::Reader* section, StartRequest* request, uint32_t* files, uint32_t* unknown) {
  const uint32_t count = section->Count(sizeof(uint32_t));
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t role = section->U32();
    if (role >= wire::kStartFileCount) {
      *unknown = role;
      return ENOTSUP;
    }
    if (request->files[role] >= 0) return EBADMSG;
    request->files[role] = static_cast<int>(i);
  }
  *files = count;
  return Ended(*section);
}

int ReadTrees(wire::Reader* section, StartRequest* request) {
  request->tree_count = section->U32();
  return request->tree_count > wire::kMaximumTrees ? EBADMSG : Ended(*section);
}

int ReadUser(wire::Reader* section, StartRequest* request) {
  request->switch_user = true;
  request->uid = section->U32();
  request->gid = section->U32();
  request->group_count = section->Count(sizeof(uint32_t));
  auto* groups = static_cast<gid_t*>(calloc(request->group_count + size_t{1}, sizeof(gid_t)));
  if (groups == nullptr) return ENOMEM;
  for (uint32_t i = 0; i < request->group_count; ++i) groups[i] = section->U32();
  request->groups = groups;
  return Ended(*section);
}

int ReadCommand(wire::Reader* section, StartRequest* request) {
  request->working_directory = section->Text();
  request->program = section->Text();
  request->arguments = ReadTexts(section);
  request->environment = ReadTexts(section);
  if (request->arguments == nullptr || request->environment == nullptr) return ENOMEM;
  if (!section->ok() || request->program[0] == '\0' || request->arguments[0] == nullptr) {
    return EBADMSG;
  }
  return Ended(*section);
}

int ReadKeeper(const wire::Reader& section, StartRequest* request) {
  request->keeper = true;
  return Ended(section);
}

int ReadSection(uint32_t type, wire::Reader* section, StartRequest* request, uint32_t* files,
                uint32_t* unknown) {
  switch (static_cast<wire::StartSection>(type)) {
    case wire::StartSection::kOperations:
      return ReadOperations(section, request, unknown);
    case wire::StartSection::kFiles:
      return ReadFiles(section, request, files, unknown);
    case wire::StartSection::kTrees:
      return ReadTrees(section, request);
    case wire::StartSection::kUser:
      return ReadUser(section, request);
    case wire::StartSection::kCommand:
      return ReadCommand(section, request);
    case wire::StartSection::kKeeper:
      return ReadKeeper(*section, request);
  }
  *unknown = type;
  return ENOTSUP;
}

// A request is for a command with all its files, or for a keeper with none.
bool Whole(const StartRequest& request, uint32_t files) {
  if (request.keeper) return request.arguments == nullptr && files == 0 && !request.switch_user;
  return request.arguments != nullptr && files == wire::kStartFileCount;
}

}  // namespace

int ParseStartRequest(const char* body, size_t size, size_t descriptors, StartRequest* request,
                      uint32_t* unknown) {
  wire::SectionReader sections(body, size);
  uint32_t type = 0;
  wire::Reader section(body, 0);
  uint32_t files = 0;
  while (sections.Next(&type, &section)) {
    const int error = ReadSection(type, &section, request, &files, unknown);
    if (error != 0) return error;
  }
  request->first_tree = files;
  if (!sections.ok() || !Whole(*request, files)) return EBADMSG;
  return descriptors == size_t{files} + request->tree_count ? 0 : EBADMSG;
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
