#include "services/agent/runtime/start_frame.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/agent/launcher/wire.h"

namespace tessera::agent {
namespace {

constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

class OperationWriter {
 public:
  explicit OperationWriter(wire::Writer* writer) : writer_(writer) {}

  void EnterRoot(bool hide_old_root) {
    Write(wire::OperationKind::kEnterRoot, hide_old_root ? wire::kHideOldRoot : 0u, 0, "", "");
  }
  void operator()(const MountFilesystem& o) {
    Write(wire::OperationKind::kMount, o.flags, o.refuse_symlinks ? wire::kRefuseSymlinks : 0u,
          o.source, o.target, o.type, o.data);
  }
  void operator()(const AttachTree& o) {
    // The root's tree is number 0.
    const uint64_t tree = o.tree + 1;
    if (o.make_target) {
      Write(wire::OperationKind::kMakeTargetLikeTree, tree, 0, "", o.target);
    }
    Write(wire::OperationKind::kAttachTree, tree, 0, "", o.target);
  }
  void operator()(const MakeDirectory& o) {
    Write(wire::OperationKind::kMakeDirectory, 0, o.mode, "", o.path);
  }
  void operator()(const MakeDeviceNode& o) {
    Write(wire::OperationKind::kMakeNode, o.device, o.mode, "", o.path);
  }
  void operator()(const MakeSymlink& o) {
    Write(wire::OperationKind::kMakeSymlink, 0, 0, o.target, o.path);
  }
  void operator()(const ProtectPath& o) {
    Write(wire::OperationKind::kProtectPath, 0, 0, "", o.path);
  }
  void operator()(const SetHostname& o) {
    Write(wire::OperationKind::kSetHostname, 0, 0, o.hostname, "");
  }

  uint32_t count() const { return count_; }

 private:
  void Write(wire::OperationKind kind, uint64_t number, uint32_t mode, const std::string& first,
             const std::string& second, const std::string& third = "",
             const std::string& fourth = "") {
    writer_->U32(static_cast<uint32_t>(kind));
    writer_->U64(number);
    writer_->U32(mode);
    for (const std::string& text : {first, second, third, fourth}) writer_->Text(text);
    ++count_;
  }

  wire::Writer* const writer_;
  uint32_t count_ = 0;
};

bool CoversProc(const ContainerOperation& operation) {
  const auto* mount = std::get_if<MountFilesystem>(&operation);
  return mount != nullptr && mount->target == "/proc" && mount->type == "proc";
}

uint32_t WriteOperations(const IsolationPlan& plan, wire::Writer* writer) {
  OperationWriter operations(writer);
  operations.EnterRoot(std::any_of(plan.container.begin(), plan.container.end(), CoversProc));
  for (const ContainerOperation& operation : plan.container) std::visit(operations, operation);
  return operations.count();
}

// argv, the program's own name first.
std::vector<std::string> Arguments(const ContainerCommand& command) {
  if (command.shell) return {"sh", "-c", command.value};
  if (command.arguments.empty()) return {command.value};
  return command.arguments;
}

std::vector<std::string> Environment(const ContainerSpec& spec, const std::string& sandbox) {
  std::vector<std::string> variables;
  bool has_path = false;
  bool has_sandbox = false;
  for (const auto& [name, value] : spec.environment) {
    has_path |= name == "PATH";
    has_sandbox |= name == "TESSERA_SANDBOX";
    variables.push_back(absl::StrCat(name, "=", value));
  }
  if (!has_path) variables.push_back(absl::StrCat("PATH=", kDefaultPath));
  if (!has_sandbox) variables.push_back(absl::StrCat("TESSERA_SANDBOX=", sandbox));
  return variables;
}

void WriteTexts(const std::vector<std::string>& texts, wire::Writer* writer) {
  writer->U32(static_cast<uint32_t>(texts.size()));
  for (const std::string& text : texts) writer->Text(text);
}

}  // namespace

absl::StatusOr<std::string> StartFrame(const ContainerSpec& spec, const HostUser& user,
                                       const IsolationPlan& plan) {
  const std::string sandbox = spec.rootfs.empty() ? spec.sandbox : spec.sandbox_in_rootfs;
  wire::Writer writer;
  wire::Writer counted;
  writer.U32(WriteOperations(plan, &counted));
  WriteOperations(plan, &writer);
  writer.U32(user.switches ? 1 : 0);
  writer.U32(user.uid);
  writer.U32(user.gid);
  writer.U32(static_cast<uint32_t>(user.groups.size()));
  for (const gid_t group : user.groups) writer.U32(group);
  writer.Text(spec.working_directory.empty() ? sandbox : spec.working_directory);
  writer.Text(spec.command.shell ? "/bin/sh" : spec.command.value);
  WriteTexts(Arguments(spec.command), &writer);
  WriteTexts(Environment(spec, sandbox), &writer);
  if (writer.size() > wire::kMaximumStartBytes) {
    return absl::InvalidArgumentError(absl::StrCat("command and environment are larger than ",
                                                   wire::kMaximumStartBytes, " bytes"));
  }
  return writer.Frame(wire::FrameType::kStart);
}

}  // namespace tessera::agent
