#include "services/base/systemd_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "gtest/gtest.h"
#include "services/base/unique_fd.h"

namespace tessera::base {
namespace {

class SystemdNotifyTest : public testing::Test {
 protected:
  void SetUp() override {
    // An abstract name: socket paths are short, test folders are not.
    name_ = "@tessera-notify-test-" + std::to_string(::getpid());
    socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name_.data() + 1, name_.size() - 1);
    const socklen_t length = offsetof(sockaddr_un, sun_path) + name_.size();
    ASSERT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    ::setenv("NOTIFY_SOCKET", name_.c_str(), 1);
  }
  void TearDown() override { ::unsetenv("NOTIFY_SOCKET"); }

  std::string Received() {
    char buffer[512];
    const ssize_t got = ::recv(socket_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
    return got < 0 ? "nothing" : std::string(buffer, static_cast<size_t>(got));
  }

  std::string name_;
  UniqueFd socket_;
};

TEST_F(SystemdNotifyTest, SendsStates) {
  NotifyReady("serving\non 5050");
  EXPECT_EQ(Received(), "READY=1\nSTATUS=serving on 5050");
  NotifyStopping();
  EXPECT_EQ(Received(), "STOPPING=1");
}

TEST_F(SystemdNotifyTest, IsSilentOutsideSystemd) {
  ::unsetenv("NOTIFY_SOCKET");
  NotifyReady("x");
  EXPECT_EQ(Received(), "nothing");
}

}  // namespace
}  // namespace tessera::base
