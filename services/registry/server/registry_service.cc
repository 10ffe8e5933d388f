#include "services/registry/server/registry_service.h"

#include <utility>
#include <vector>

#include "services/registry/server/wire.h"
#include "services/rpc/caller.h"
#include "services/rpc/server_stream.h"

namespace tessera::registry {
namespace {

absl::Status Stopping() { return absl::UnavailableError("the registry stops; try again soon"); }

}  // namespace

template <typename Request, typename Response>
grpc::ServerUnaryReactor* RegistryService::Call(grpc::CallbackServerContext* context,
                                                const Request& request, Response* response,
                                                rpc::ReplyTable<Response>* replies) {
  const auto [id, reactor] = replies->Add(context, response);
  if (id == 0) return reactor;
  bool closed;
  {
    absl::MutexLock lock(&mu_);
    closed = closed_;
  }
  if (closed) {
    replies->Finish(id, Stopping());
    return reactor;
  }
  auto event = FromWire(id, request);
  event.caller = rpc::CallerOf(*context);
  if (absl::Status taken = push_(std::move(event)); !taken.ok()) {
    replies->Finish(id, std::move(taken));
  }
  return reactor;
}

template <typename Request, typename Response>
grpc::ServerWriteReactor<Response>* RegistryService::Open(grpc::CallbackServerContext* context,
                                                          const Request& request,
                                                          Streams<Response>* streams) {
  return rpc::AcceptServerStream<Response>(context, {}, [&](rpc::StreamPtr<Response> stream) {
    StreamId id = 0;
    {
      absl::MutexLock lock(&mu_);
      if (!closed_) {
        id = ++last_stream_;
        streams->emplace(id, stream);
      }
    }
    if (id == 0) {
      stream->Cancel(Stopping());
    } else {
      auto event = FromWire(id, request);
      event.caller = rpc::CallerOf(*context);
      if (absl::Status taken = push_(std::move(event)); !taken.ok()) {
        stream->Cancel(std::move(taken));
      }
    }
    return [this, id, streams](const absl::Status&) {
      {
        absl::MutexLock lock(&mu_);
        if (streams->erase(id) == 0) return;
      }
      push_reserved_(StreamEnded{id});
    };
  });
}

grpc::ServerUnaryReactor* RegistryService::Read(grpc::CallbackServerContext* context,
                                                const v1::ReadRequest* request,
                                                v1::ReadResponse* response) {
  return Call(context, *request, response, &reads_);
}

grpc::ServerUnaryReactor* RegistryService::Commit(grpc::CallbackServerContext* context,
                                                  const v1::CommitRequest* request,
                                                  v1::CommitResponse* response) {
  return Call(context, *request, response, &commits_);
}

grpc::ServerUnaryReactor* RegistryService::Renew(grpc::CallbackServerContext* context,
                                                 const v1::RenewRequest* request,
                                                 v1::RenewResponse* response) {
  return Call(context, *request, response, &renewals_);
}

grpc::ServerUnaryReactor* RegistryService::Resign(grpc::CallbackServerContext* context,
                                                  const v1::ResignRequest* request,
                                                  v1::ResignResponse* response) {
  return Call(context, *request, response, &resignations_);
}

grpc::ServerWriteReactor<v1::WatchResponse>* RegistryService::Watch(
    grpc::CallbackServerContext* context, const v1::WatchRequest* request) {
  return Open(context, *request, &watches_);
}

grpc::ServerWriteReactor<v1::CampaignResponse>* RegistryService::Campaign(
    grpc::CallbackServerContext* context, const v1::CampaignRequest* request) {
  return Open(context, *request, &campaigns_);
}

template <typename Response>
rpc::StreamPtr<Response> RegistryService::Find(const Streams<Response>& streams,
                                               StreamId stream) const {
  absl::MutexLock lock(&mu_);
  const auto it = streams.find(stream);
  return it == streams.end() ? nullptr : it->second;
}

namespace {

// Finishes the call that an answer of the core is for.
template <typename Response, typename Answer>
void Finish(rpc::ReplyTable<Response>* replies, const Answer& answer, Response response) {
  absl::Status refused = ToStatus(answer.refusal, answer.message, answer.acting);
  if (refused.ok()) {
    replies->Finish(answer.call, std::move(response));
  } else {
    replies->Finish(answer.call, std::move(refused));
  }
}

}  // namespace

void RegistryService::Deliver(const CommitAnswer& answer) {
  Finish(&commits_, answer, ToWire(answer));
}
void RegistryService::Deliver(const ReadAnswer& answer) { Finish(&reads_, answer, ToWire(answer)); }
void RegistryService::Deliver(const RenewAnswer& answer) {
  Finish(&renewals_, answer, ToWire(answer));
}
void RegistryService::Deliver(const ResignAnswer& answer) {
  Finish(&resignations_, answer, v1::ResignResponse());
}
void RegistryService::Deliver(const WatchSend& send) {
  if (auto stream = Find(watches_, send.stream)) stream->Send(ToWire(send));
}
void RegistryService::Deliver(const CampaignSend& send) {
  if (auto stream = Find(campaigns_, send.stream)) stream->Send(ToWire(send));
}
void RegistryService::Deliver(const EndStream& end) {
  const absl::Status status = ToStatus(end.refusal, end.message, end.acting);
  if (auto stream = Find(watches_, end.stream)) stream->Close(status);
  if (auto stream = Find(campaigns_, end.stream)) stream->Close(status);
}

void RegistryService::Close() {
  std::vector<std::shared_ptr<rpc::StreamControl>> open;
  {
    absl::MutexLock lock(&mu_);
    closed_ = true;
    for (const auto& [id, stream] : watches_) open.push_back(stream);
    for (const auto& [id, stream] : campaigns_) open.push_back(stream);
  }
  for (const auto& stream : open) stream->Close(Stopping());
}

void RegistryService::FailWaiting() {
  reads_.FailAll(Stopping());
  commits_.FailAll(Stopping());
  renewals_.FailAll(Stopping());
  resignations_.FailAll(Stopping());
}

size_t RegistryService::waiting() const {
  return reads_.size() + commits_.size() + renewals_.size() + resignations_.size();
}

size_t RegistryService::queued_messages() const {
  std::vector<std::shared_ptr<rpc::StreamControl>> open;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [id, stream] : watches_) open.push_back(stream);
    for (const auto& [id, stream] : campaigns_) open.push_back(stream);
  }
  size_t queued = 0;
  for (const auto& stream : open) queued += stream->queued();
  return queued;
}

}  // namespace tessera::registry
