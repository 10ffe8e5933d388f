#include "services/base/shutdown_signal.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace tessera::base {
namespace {

// Runs `body` in a child, whose signals are its own, and returns how the child ended.
template <typename Body>
int StatusOfChild(Body body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

TEST(ShutdownSignalTest, TellsWhichSignalCame) {
  for (int number : {SIGTERM, SIGINT}) {
    const int status = StatusOfChild([number] {
      ShutdownSignal shutdown;
      ::kill(::getpid(), number);
      return shutdown.Wait();
    });
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), number);
  }
}

TEST(ShutdownSignalTest, ARequestEndsTheWait) {
  ShutdownSignal shutdown;
  shutdown.Request();
  shutdown.Request();
  EXPECT_EQ(shutdown.Wait(), 0);
}

TEST(ShutdownSignalTest, TheSecondSignalKills) {
  const int status = StatusOfChild([] {
    ShutdownSignal shutdown;
    ::kill(::getpid(), SIGTERM);
    shutdown.Wait();
    ::kill(::getpid(), SIGTERM);
    return 0;
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

TEST(ShutdownSignalTest, AWriteToAClosedPipeDoesNotKill) {
  const int status = StatusOfChild([] {
    ShutdownSignal shutdown;
    int ends[2];
    if (::pipe(ends) != 0) return 1;
    ::close(ends[0]);
    return ::write(ends[1], "x", 1) < 0 ? 42 : 2;
  });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

}  // namespace
}  // namespace tessera::base
