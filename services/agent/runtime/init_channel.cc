#include "services/agent/runtime/init_channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/agent/launcher/socket_frames.h"
#include "services/agent/launcher/wire.h"

namespace tessera::agent {
namespace {

LaunchFailure Aborted(std::string message) {
  return {.step = LaunchStep::kAborted, .error_number = 0, .message = std::move(message)};
}

LaunchStep StepOf(wire::InitStep step) {
  switch (step) {
    case wire::InitStep::kJoinCgroup:
      return LaunchStep::kCgroup;
    case wire::InitStep::kNamespace:
      return LaunchStep::kNamespace;
    case wire::InitStep::kFilesystem:
      return LaunchStep::kFilesystem;
    case wire::InitStep::kDirectory:
      return LaunchStep::kDirectory;
    case wire::InitStep::kUserSwitch:
      return LaunchStep::kUserSwitch;
    case wire::InitStep::kExec:
      return LaunchStep::kExec;
    case wire::InitStep::kState:
      return LaunchStep::kState;
    case wire::InitStep::kProtocol:
    case wire::InitStep::kRunning:
      break;
  }
  return LaunchStep::kAborted;
}

bool WaitReadable(int socket, absl::Duration timeout) {
  pollfd waiting{.fd = socket, .events = POLLIN, .revents = 0};
  const absl::Time deadline = absl::Now() + timeout;
  for (;;) {
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    const int ready = poll(&waiting, 1, static_cast<int>(left > 0 ? left : 0));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) return false;
  }
}

}  // namespace

std::optional<LaunchFailure> StartInit(int control, const std::string& frame,
                                       const std::vector<int>& descriptors, absl::Duration timeout,
                                       const std::string& user, absl::Time* started) {
  // An init that ended early has left a report: reading it tells more than the failed send.
  wire::SendAll(control, frame.data(), frame.size(), descriptors.data(), descriptors.size());
  if (!WaitReadable(control, timeout)) {
    return Aborted(
        absl::StrCat("the command was not started within ", absl::FormatDuration(timeout)));
  }
  wire::FrameHeader header;
  size_t no_files = 0;
  std::string body;
  int error = wire::ReceiveExactly(control, reinterpret_cast<char*>(&header), sizeof(header),
                                   nullptr, 0, &no_files);
  if (error == 0 && header.type == static_cast<uint32_t>(wire::FrameType::kReport) &&
      header.bytes <= wire::kMaximumReportBytes) {
    body.resize(header.bytes);
    error = wire::ReceiveExactly(control, body.data(), body.size(), nullptr, 0, &no_files);
  }
  if (error != 0 || body.empty()) return Aborted("the container's init was killed");
  wire::Reader reader(body.data(), body.size());
  const auto step = static_cast<wire::InitStep>(reader.U32());
  LaunchFailure failure;
  failure.error_number = static_cast<int>(reader.U32());
  const std::string detail = reader.Text();
  *started = absl::FromUnixNanos(static_cast<int64_t>(reader.U64()));
  if (!reader.AtEnd()) return Aborted("the container's init sent a malformed report");
  if (step == wire::InitStep::kRunning) return std::nullopt;
  failure.step = StepOf(step);
  failure.message =
      step == wire::InitStep::kUserSwitch ? absl::StrCat("switch to user \"", user, "\"") : detail;
  absl::StrAppend(&failure.message, ": ", strerror(failure.error_number));
  return failure;
}

}  // namespace tessera::agent
