#include "services/agent/runtime/start_frame.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/agent/launcher/wire.h"

namespace tessera::agent {
namespace {

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
  void operator()(const RaiseLoopback&) {
    Write(wire::OperationKind::kRaiseLoopback, 0, 0, "", "");
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

bool CoversProc(const InitStep& step) {
  const auto* mount = std::get_if<MountFilesystem>(&step.operation);
  return mount != nullptr && mount->target == "/proc" && mount->type == "proc";
}

void AddOperations(const IsolationPlan& plan, wire::SectionWriter* frame) {
  const bool enters = !plan.root.empty();
  if (!enters && plan.init.empty()) return;
  wire::Writer written;
  OperationWriter operations(&written);
  if (enters) {
    operations.EnterRoot(std::any_of(plan.init.begin(), plan.init.end(), CoversProc));
  }
  for (const InitStep& step : plan.init) std::visit(operations, step.operation);
  // A step may be more than one operation.
  wire::Writer section;
  section.U32(operations.count());
  section.Append(written);
  frame->Add(wire::StartSection::kOperations, section);
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
  if (!has_path) variables.push_back(absl::StrCat("PATH=", wire::kDefaultPath));
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
  wire::SectionWriter frame;
  AddOperations(plan, &frame);
  wire::Writer files;
  files.U32(wire::kStartFileCount);
  for (const wire::StartFile role :
       {wire::kStateFile, wire::kStandardInput, wire::kStandardOutput, wire::kStandardError}) {
    files.U32(role);
  }
  frame.Add(wire::StartSection::kFiles, files);
  if (const size_t trees = plan.trees.size() + (plan.root.empty() ? 0 : 1); trees > 0) {
    wire::Writer section;
    section.U32(static_cast<uint32_t>(trees));
    frame.Add(wire::StartSection::kTrees, section);
  }
  if (user.switches) {
    wire::Writer section;
    section.U32(user.uid);
    section.U32(user.gid);
    section.U32(static_cast<uint32_t>(user.groups.size()));
    for (const gid_t group : user.groups) section.U32(group);
    frame.Add(wire::StartSection::kUser, section);
  }
  wire::Writer command;
  command.Text(spec.working_directory.empty() ? sandbox : spec.working_directory);
  command.Text(spec.command.shell ? "/bin/sh" : spec.command.value);
  WriteTexts(Arguments(spec.command), &command);
  WriteTexts(Environment(spec, sandbox), &command);
  frame.Add(wire::StartSection::kCommand, command);
  if (frame.size() > wire::kMaximumStartBytes) {
    return absl::InvalidArgumentError(absl::StrCat("command and environment are larger than ",
                                                   wire::kMaximumStartBytes, " bytes"));
  }
  return frame.Frame(wire::FrameType::kStart);
}

std::string KeeperFrame(const IsolationPlan& plan) {
  wire::SectionWriter frame;
  AddOperations(plan, &frame);
  frame.Add(wire::StartSection::kKeeper, wire::Writer());
  return frame.Frame(wire::FrameType::kStart);
}

}  // namespace tessera::agent
