#include "services/agent/launcher/start_request.h"

#include <errno.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tessera::agent {
namespace {

constexpr size_t kDescriptors = 6;  // four files, two trees

std::string Body(const wire::SectionWriter& writer) {
  return writer.Frame(wire::FrameType::kStart).substr(sizeof(wire::FrameHeader));
}

wire::Writer Operations(uint32_t kind) {
  wire::Writer section;
  section.U32(1);
  section.U32(kind);
  section.U64(14);
  section.U32(wire::kRefuseSymlinks);
  for (const char* text : {"proc", "/proc", "proc", ""}) section.Text(text);
  return section;
}

wire::Writer Files() {
  wire::Writer section;
  section.U32(wire::kStartFileCount);
  // The order is the sender's business.
  for (const wire::StartFile role :
       {wire::kStandardInput, wire::kStateFile, wire::kStandardError, wire::kStandardOutput}) {
    section.U32(role);
  }
  return section;
}

wire::Writer Trees() {
  wire::Writer section;
  section.U32(2);
  return section;
}

wire::Writer User() {
  wire::Writer section;
  section.U32(1000);
  section.U32(1001);
  section.U32(2);
  section.U32(20);
  section.U32(21);
  return section;
}

wire::Writer Command() {
  wire::Writer section;
  section.Text("/work");
  section.Text("echo");
  section.U32(2);
  section.Text("echo");
  section.Text("hello world");
  section.U32(2);
  section.Text("PATHOLOGY=no");
  section.Text("PATH=/bin:/usr/bin");
  return section;
}

wire::SectionWriter Example() {
  wire::SectionWriter frame;
  frame.Add(wire::StartSection::kOperations,
            Operations(static_cast<uint32_t>(wire::OperationKind::kMount)));
  frame.Add(wire::StartSection::kFiles, Files());
  frame.Add(wire::StartSection::kTrees, Trees());
  frame.Add(wire::StartSection::kUser, User());
  frame.Add(wire::StartSection::kCommand, Command());
  return frame;
}

int Parse(const std::string& body, size_t descriptors, StartRequest* request,
          uint32_t* unknown = nullptr) {
  uint32_t ignored = 0;
  return ParseStartRequest(body.data(), body.size(), descriptors, request,
                           unknown == nullptr ? &ignored : unknown);
}

TEST(StartRequestTest, ReadsWhatWasWritten) {
  const std::string body = Body(Example());
  StartRequest request;
  ASSERT_EQ(Parse(body, kDescriptors, &request), 0);
  ASSERT_EQ(request.operation_count, 1u);
  EXPECT_EQ(request.operations[0].kind, wire::OperationKind::kMount);
  EXPECT_EQ(request.operations[0].number, 14u);
  EXPECT_STREQ(request.operations[0].second, "/proc");
  EXPECT_EQ(request.files[wire::kStateFile], 1);
  EXPECT_EQ(request.files[wire::kStandardInput], 0);
  EXPECT_EQ(request.files[wire::kStandardOutput], 3);
  EXPECT_EQ(request.files[wire::kStandardError], 2);
  EXPECT_EQ(request.first_tree, 4u);
  EXPECT_EQ(request.tree_count, 2u);
  EXPECT_TRUE(request.switch_user);
  EXPECT_EQ(request.uid, 1000u);
  EXPECT_EQ(request.gid, 1001u);
  ASSERT_EQ(request.group_count, 2u);
  EXPECT_EQ(request.groups[1], 21u);
  EXPECT_FALSE(request.keeper);
  EXPECT_STREQ(request.working_directory, "/work");
  EXPECT_STREQ(request.program, "echo");
  EXPECT_STREQ(request.arguments[1], "hello world");
  EXPECT_EQ(request.arguments[2], nullptr);
  EXPECT_STREQ(FindVariable(request.environment, "PATH"), "/bin:/usr/bin");
  EXPECT_EQ(FindVariable(request.environment, "HOME"), nullptr);
}

TEST(StartRequestTest, ASectionThatIsNotThereDoesNothing) {
  wire::SectionWriter frame;
  frame.Add(wire::StartSection::kCommand, Command());
  frame.Add(wire::StartSection::kFiles, Files());
  StartRequest request;
  ASSERT_EQ(Parse(Body(frame), wire::kStartFileCount, &request), 0);
  EXPECT_FALSE(request.switch_user);
  EXPECT_EQ(request.operation_count, 0u);
  EXPECT_EQ(request.tree_count, 0u);
}

TEST(StartRequestTest, AKeeperHasNoCommand) {
  wire::SectionWriter frame;
  frame.Add(wire::StartSection::kKeeper, wire::Writer());
  StartRequest request;
  ASSERT_EQ(Parse(Body(frame), 0, &request), 0);
  EXPECT_TRUE(request.keeper);
  frame.Add(wire::StartSection::kCommand, Command());
  EXPECT_EQ(Parse(Body(frame), 0, &request), EBADMSG);
}

TEST(StartRequestTest, WhatIsNotKnownIsNamedAndRefused) {
  wire::SectionWriter frame = Example();
  wire::Writer program;  // any bytes, NUL too
  program.U64(0);
  frame.Add(static_cast<wire::StartSection>(17), program);
  StartRequest request;
  uint32_t unknown = 0;
  EXPECT_EQ(Parse(Body(frame), kDescriptors, &request, &unknown), ENOTSUP);
  EXPECT_EQ(unknown, 17u);

  wire::SectionWriter operation;
  operation.Add(wire::StartSection::kOperations, Operations(99));
  EXPECT_EQ(Parse(Body(operation), 0, &request, &unknown), ENOTSUP);
  EXPECT_EQ(unknown, 99u);

  wire::Writer roles;
  roles.U32(1);
  roles.U32(wire::kStartFileCount);
  wire::SectionWriter role;
  role.Add(wire::StartSection::kFiles, roles);
  EXPECT_EQ(Parse(Body(role), 1, &request, &unknown), ENOTSUP);
  EXPECT_EQ(unknown, wire::kStartFileCount);
}

TEST(StartRequestTest, ContradictionsAreRefused) {
  StartRequest request;
  wire::SectionWriter twice = Example();
  twice.Add(wire::StartSection::kUser, User());
  EXPECT_EQ(Parse(Body(twice), kDescriptors, &request), EBADMSG);

  for (const size_t descriptors : {kDescriptors - 1, kDescriptors + 1, size_t{0}}) {
    StartRequest other;
    EXPECT_EQ(Parse(Body(Example()), descriptors, &other), EBADMSG) << descriptors;
  }

  wire::SectionWriter no_files;
  no_files.Add(wire::StartSection::kCommand, Command());
  StartRequest without;
  EXPECT_EQ(Parse(Body(no_files), 0, &without), EBADMSG);

  wire::Writer roles;
  roles.U32(2);
  roles.U32(wire::kStateFile);
  roles.U32(wire::kStateFile);
  wire::SectionWriter doubled;
  doubled.Add(wire::StartSection::kFiles, roles);
  StartRequest same;
  EXPECT_EQ(Parse(Body(doubled), 2, &same), EBADMSG);
}

TEST(StartRequestTest, RefusesEveryTruncation) {
  const std::string body = Body(Example());
  for (size_t size = 0; size < body.size(); ++size) {
    StartRequest request;
    EXPECT_NE(Parse(body.substr(0, size), kDescriptors, &request), 0) << size;
  }
  StartRequest request;
  EXPECT_EQ(Parse(body + "x", kDescriptors, &request), EBADMSG);
}

TEST(StartRequestTest, RefusesCountsThatCannotBe) {
  for (const uint32_t count : {0xffffffffu, 0x10000000u}) {
    wire::Writer section;
    section.U32(count);
    for (const wire::StartSection type :
         {wire::StartSection::kOperations, wire::StartSection::kFiles, wire::StartSection::kTrees,
          wire::StartSection::kCommand}) {
      wire::SectionWriter frame;
      frame.Add(type, section);
      StartRequest request;
      EXPECT_EQ(Parse(Body(frame), kDescriptors, &request), EBADMSG);
    }
    // And as the count of sections, and the length of one.
    std::string body = Body(Example());
    memcpy(body.data(), &count, sizeof(count));
    StartRequest request;
    EXPECT_EQ(Parse(body, kDescriptors, &request), EBADMSG);
    body = Body(Example());
    memcpy(body.data() + 8, &count, sizeof(count));
    EXPECT_EQ(Parse(body, kDescriptors, &request), EBADMSG);
  }
}

// What parses must be well formed whatever the bytes were: strings end inside the frame.
TEST(StartRequestTest, FlippedBytesNeverLeaveTheFrame) {
  const std::string good = Body(Example());
  std::mt19937 random(20261123);
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string body = good;
    for (int flips = 0; flips < 3; ++flips)
      body[random() % body.size()] = static_cast<char>(random());
    StartRequest request;
    if (Parse(body, kDescriptors, &request) != 0) continue;
    ++accepted;
    for (const int file : request.files) {
      ASSERT_GE(file, 0);
      ASSERT_LT(file, static_cast<int>(kDescriptors));
    }
    ASSERT_LE(request.first_tree + request.tree_count, kDescriptors);
    const char* end = body.data() + body.size();
    for (char* const* argument = request.arguments; *argument != nullptr; ++argument) {
      ASSERT_GE(*argument, body.data());
      ASSERT_LT(*argument + strlen(*argument), end);
    }
  }
  EXPECT_GT(accepted, 100);
}

TEST(WireReaderTest, TextRefusesAnInnerNul) {
  wire::Writer writer;
  writer.Text("abcd");
  std::string body = writer.bytes();
  body[6] = '\0';
  wire::Reader reader(body.data(), body.size());
  EXPECT_STREQ(reader.Text(), "");
  EXPECT_FALSE(reader.ok());
}

TEST(WireReaderTest, ASectionsBytesMayBeAny) {
  const std::string bytes("\0a\0\0", 4);
  wire::Reader reader(bytes.data(), bytes.size());
  const char* read = reader.Bytes(4);
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(std::string(read, 4), bytes);
  EXPECT_TRUE(reader.AtEnd());
  EXPECT_EQ(reader.Bytes(1), nullptr);
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace tessera::agent
