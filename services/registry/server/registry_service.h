// RegistryService on gRPC: calls and streams become events, effects become answers. No logic.
//
// Threads: gRPC's for calls; Deliver on the strand; Close from the owner.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "protos/tessera/registry/v1/registry_service.grpc.pb.h"
#include "services/registry/core/registry_events.h"
#include "services/rpc/reply_table.h"
#include "services/rpc/stream.h"

namespace tessera::registry {

class RegistryService : public v1::RegistryService::CallbackService {
 public:
  // Where events go, as of rpc::Shell. Called from the first call on until Close() and the server's
  // end.
  RegistryService(std::function<absl::Status(Event)> push, std::function<void(Event)> push_reserved)
      : push_(std::move(push)), push_reserved_(std::move(push_reserved)) {}

  // Carry out the effects that a client sees.
  void Deliver(const CommitAnswer& answer);
  void Deliver(const ReadAnswer& answer);
  void Deliver(const RenewAnswer& answer);
  void Deliver(const ResignAnswer& answer);
  void Deliver(const WatchSend& send);
  void Deliver(const CampaignSend& send);
  void Deliver(const EndStream& end);

  // Refuses what comes from now on and ends all streams, each with UNAVAILABLE.
  void Close();
  // Answers every call that still waits with UNAVAILABLE.
  void FailWaiting();
  // Calls that wait for their answer.
  size_t waiting() const;
  // Messages that wait to be written to watchers and candidates.
  size_t queued_messages() const;

  grpc::ServerUnaryReactor* Read(grpc::CallbackServerContext* context,
                                 const v1::ReadRequest* request,
                                 v1::ReadResponse* response) override;
  grpc::ServerUnaryReactor* Commit(grpc::CallbackServerContext* context,
                                   const v1::CommitRequest* request,
                                   v1::CommitResponse* response) override;
  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* context,
                                  const v1::RenewRequest* request,
                                  v1::RenewResponse* response) override;
  grpc::ServerUnaryReactor* Resign(grpc::CallbackServerContext* context,
                                   const v1::ResignRequest* request,
                                   v1::ResignResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchResponse>* Watch(grpc::CallbackServerContext* context,
                                                     const v1::WatchRequest* request) override;
  grpc::ServerWriteReactor<v1::CampaignResponse>* Campaign(
      grpc::CallbackServerContext* context, const v1::CampaignRequest* request) override;

 private:
  // The open streams of one kind.
  template <typename Response>
  using Streams = std::map<StreamId, rpc::StreamPtr<Response>>;

  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Call(grpc::CallbackServerContext* context, const Request& request,
                                 Response* response, rpc::ReplyTable<Response>* replies);
  template <typename Request, typename Response>
  grpc::ServerWriteReactor<Response>* Open(grpc::CallbackServerContext* context,
                                           const Request& request, Streams<Response>* streams);
  template <typename Response>
  rpc::StreamPtr<Response> Find(const Streams<Response>& streams, StreamId stream) const;

  const std::function<absl::Status(Event)> push_;
  const std::function<void(Event)> push_reserved_;
  rpc::ReplyTable<v1::ReadResponse> reads_;
  rpc::ReplyTable<v1::CommitResponse> commits_;
  rpc::ReplyTable<v1::RenewResponse> renewals_;
  rpc::ReplyTable<v1::ResignResponse> resignations_;

  mutable absl::Mutex mu_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  StreamId last_stream_ ABSL_GUARDED_BY(mu_) = 0;
  Streams<v1::WatchResponse> watches_ ABSL_GUARDED_BY(mu_);
  Streams<v1::CampaignResponse> campaigns_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tessera::registry
