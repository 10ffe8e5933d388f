#include "services/base/shutdown_signal.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <cstdint>

#include <glog/logging.h>

namespace tessera::base {
namespace {

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

ShutdownSignal::ShutdownSignal() {
  ::signal(SIGPIPE, SIG_IGN);
  const sigset_t set = StopSignals();
  CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, nullptr), 0);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC));
  requests_.reset(::eventfd(0, EFD_CLOEXEC));
  PCHECK(signals_.valid() && requests_.valid());
}

ShutdownSignal::~ShutdownSignal() {
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

int ShutdownSignal::Wait() {
  pollfd fds[] = {{signals_.get(), POLLIN, 0}, {requests_.get(), POLLIN, 0}};
  while (::poll(fds, 2, -1) < 0) PCHECK(errno == EINTR);
  int number = 0;
  if ((fds[0].revents & POLLIN) != 0) {
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      number = static_cast<int>(info.ssi_signo);
    }
  }
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  return number;
}

void ShutdownSignal::Request() {
  const uint64_t one = 1;
  // Can fail only when 2^64 - 2 requests are pending, which wake the waiter all the same.
  [[maybe_unused]] const ssize_t put = ::write(requests_.get(), &one, sizeof(one));
}

}  // namespace tessera::base
