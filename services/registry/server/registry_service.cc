#include "services/registry/server/registry_service.h"

#include <utility>
#include <variant>
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
  if (!push_(std::move(event), /*reserved=*/false)) {
    replies->Finish(id, rpc::Overloaded("the registry's queue"));
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
      if (!push_(std::move(event), /*reserved=*/false)) {
        stream->Cancel(rpc::Overloaded("the registry's queue"));
      }
    }
    return [this, id, streams](const absl::Status&) {
      {
        absl::MutexLock lock(&mu_);
        if (streams->erase(id) == 0) return;
      }
      push_(StreamEnded{id}, /*reserved=*/true);
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

void RegistryService::Deliver(const Effect& effect) {
  const auto finish = [](auto& replies, const auto& answer, auto response) {
    absl::Status refused = ToStatus(answer.refusal, answer.message);
    if (refused.ok()) {
      replies.Finish(answer.call, std::move(response));
    } else {
      replies.Finish(answer.call, std::move(refused));
    }
  };
  if (const auto* commit = std::get_if<CommitAnswer>(&effect)) {
    finish(commits_, *commit, ToWire(*commit));
  } else if (const auto* read = std::get_if<ReadAnswer>(&effect)) {
    finish(reads_, *read, ToWire(*read));
  } else if (const auto* renew = std::get_if<RenewAnswer>(&effect)) {
    finish(renewals_, *renew, ToWire(*renew));
  } else if (const auto* resign = std::get_if<ResignAnswer>(&effect)) {
    finish(resignations_, *resign, v1::ResignResponse());
  } else if (const auto* watch = std::get_if<WatchSend>(&effect)) {
    if (auto stream = Find(watches_, watch->stream)) stream->Send(ToWire(*watch));
  } else if (const auto* campaign = std::get_if<CampaignSend>(&effect)) {
    if (auto stream = Find(campaigns_, campaign->stream)) stream->Send(ToWire(*campaign));
  } else if (const auto* end = std::get_if<EndStream>(&effect)) {
    const absl::Status status = ToStatus(end->refusal, end->message);
    if (auto stream = Find(watches_, end->stream)) stream->Close(status);
    if (auto stream = Find(campaigns_, end->stream)) stream->Close(status);
  }
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
