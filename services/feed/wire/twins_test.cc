// Each carried message reads and writes the same bytes as its public twin.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "google/protobuf/descriptor.h"
#include "protos/tessera/state/v1/state_feed_service.pb.h"
#include "protos/tessera/state/v1/state_service.pb.h"
#include "services/feed/wire/carried.pb.h"

namespace tessera::feed {
namespace {

namespace v1 = ::tessera::state::v1;

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// What differs between the two, and in what it differs from one being the other as bytes.
class Comparison {
 public:
  void Compare(const Descriptor& carried, const Descriptor& open) {
    if (!compared_.insert(carried.full_name()).second) return;
    EXPECT_EQ(carried.field_count(), open.field_count()) << carried.full_name();
    EXPECT_EQ(carried.real_oneof_decl_count(), open.real_oneof_decl_count());
    for (int i = 0; i < open.field_count(); ++i) {
      const FieldDescriptor* field = open.field(i);
      const FieldDescriptor* twin = carried.FindFieldByNumber(field->number());
      ASSERT_NE(twin, nullptr) << field->full_name() << " is not carried";
      CompareField(*twin, *field);
    }
  }

  // Public fields that are carried as bytes.
  const std::set<std::string>& as_bytes() const { return as_bytes_; }

 private:
  void CompareField(const FieldDescriptor& twin, const FieldDescriptor& field) {
    EXPECT_EQ(twin.name(), field.name()) << field.full_name();
    EXPECT_EQ(twin.label(), field.label()) << field.full_name();
    EXPECT_EQ(twin.is_packed(), field.is_packed()) << field.full_name();
    EXPECT_EQ(twin.real_containing_oneof() == nullptr, field.real_containing_oneof() == nullptr)
        << field.full_name();
    if (field.type() == FieldDescriptor::TYPE_MESSAGE &&
        twin.type() == FieldDescriptor::TYPE_BYTES) {
      as_bytes_.insert(field.full_name());
      return;
    }
    ASSERT_EQ(twin.type(), field.type()) << field.full_name();
    if (field.type() == FieldDescriptor::TYPE_ENUM) {
      EXPECT_EQ(twin.enum_type(), field.enum_type()) << field.full_name();
    }
    if (field.type() == FieldDescriptor::TYPE_MESSAGE &&
        twin.message_type() != field.message_type()) {
      Compare(*twin.message_type(), *field.message_type());
    }
  }

  std::set<std::string> compared_;
  std::set<std::string> as_bytes_;
};

TEST(TwinsTest, CarriedMessagesAreTheContractsMessages) {
  Comparison comparison;
  comparison.Compare(*wire::FollowResponse::descriptor(), *v1::FollowResponse::descriptor());
  comparison.Compare(*wire::WatchResponse::descriptor(), *v1::WatchResponse::descriptor());
  EXPECT_EQ(comparison.as_bytes(), (std::set<std::string>{
                                       "tessera.model.v1.ExecutorRecord.info",
                                       "tessera.model.v1.FrameworkRecord.info",
                                       "tessera.model.v1.TaskRecord.info",
                                       "tessera.model.v1.TaskRecord.statuses",
                                       "tessera.state.v1.Change.OfferSet.offer",
                                       "tessera.state.v1.Change.TaskStatusAdded.status",
                                   }));
}

}  // namespace
}  // namespace tessera::feed
