//! The service `Registration`.

use std::collections::HashMap;

use rookery_control::{
    Control, Policy, RegistrationMode, RegistrationPolicy, Unavailable, WindowSetting,
};
use rookery_proto::admin::registration_server::Registration;
use rookery_proto::admin::{
    RegistrationMode as ApiMode, RegistrationPolicy as ApiPolicy, ResetRegistrationRequest,
    ResetRegistrationResponse, SetRegistrationRequest, SetRegistrationResponse,
    ShowRegistrationRequest, ShowRegistrationResponse, Window,
};
use tonic::{Request, Response, Status};

/// Answers for the registration policy.
pub(super) struct RegistrationService {
    control: Control,
}

impl RegistrationService {
    pub(super) fn new(control: Control) -> Self {
        Self { control }
    }

    /// The policy as the control group has it, not as this node last heard of it.
    async fn policy(&self) -> Result<Policy, Status> {
        self.control.read_policy().await.map_err(unavailable)
    }
}

#[tonic::async_trait]
impl Registration for RegistrationService {
    async fn show_registration(
        &self,
        _: Request<ShowRegistrationRequest>,
    ) -> Result<Response<ShowRegistrationResponse>, Status> {
        let policy = self.policy().await?;
        Ok(Response::new(ShowRegistrationResponse {
            policy: Some(to_api(&policy.registration)),
            version: policy.version,
            overridden: policy.registration_overridden,
        }))
    }

    async fn set_registration(
        &self,
        request: Request<SetRegistrationRequest>,
    ) -> Result<Response<SetRegistrationResponse>, Status> {
        let request = request.into_inner();
        let mut wanted = self.policy().await?.registration.as_ref().clone();
        wanted.mode = match request.mode() {
            ApiMode::Unspecified => wanted.mode,
            ApiMode::Unthrottled => RegistrationMode::Off,
            ApiMode::On => RegistrationMode::On,
            ApiMode::Closed => RegistrationMode::Closed,
            ApiMode::Invite => RegistrationMode::Invite,
        };
        set_windows(&mut wanted, &request.windows)?;
        let version = self
            .control
            .set_registration(wanted.clone())
            .await
            .map_err(unavailable)?;
        let policy = Some(to_api(&wanted));
        Ok(Response::new(SetRegistrationResponse { policy, version }))
    }

    async fn reset_registration(
        &self,
        _: Request<ResetRegistrationRequest>,
    ) -> Result<Response<ResetRegistrationResponse>, Status> {
        self.control
            .reset_registration()
            .await
            .map_err(unavailable)?;
        let policy = self.policy().await?;
        let (version, policy) = (policy.version, Some(to_api(&policy.registration)));
        Ok(Response::new(ResetRegistrationResponse { policy, version }))
    }
}

fn set_windows(
    policy: &mut RegistrationPolicy,
    windows: &HashMap<String, String>,
) -> Result<(), Status> {
    for (name, text) in windows {
        let window = match name.as_str() {
            "per_address" => &mut policy.per_address,
            "per_prefix_24" => &mut policy.per_prefix_24,
            "per_prefix_64" => &mut policy.per_prefix_64,
            "per_prefix_48" => &mut policy.per_prefix_48,
            "per_host" => &mut policy.per_host,
            "in_all" => &mut policy.in_all,
            _ => {
                return Err(Status::invalid_argument(format!(
                    "there is no window `{name}`: there are per_address, per_prefix_24, \
                     per_prefix_64, per_prefix_48, per_host and in_all"
                )));
            }
        };
        *window = text.parse().map_err(|error| {
            Status::invalid_argument(format!("`{name}` cannot be `{text}`: {error}"))
        })?;
    }
    Ok(())
}

fn to_api(policy: &RegistrationPolicy) -> ApiPolicy {
    let mode = match policy.mode {
        RegistrationMode::Off => ApiMode::Unthrottled,
        RegistrationMode::On => ApiMode::On,
        RegistrationMode::Closed => ApiMode::Closed,
        RegistrationMode::Invite => ApiMode::Invite,
    };
    ApiPolicy {
        mode: mode.into(),
        per_address: to_window(policy.per_address),
        per_prefix_24: to_window(policy.per_prefix_24),
        per_prefix_64: to_window(policy.per_prefix_64),
        per_prefix_48: to_window(policy.per_prefix_48),
        per_host: to_window(policy.per_host),
        in_all: to_window(policy.in_all),
    }
}

fn to_window(setting: WindowSetting) -> Option<Window> {
    setting.0.map(|window| Window {
        limit: window.limit(),
        seconds: window.per_ms() / 1000,
    })
}

fn unavailable(error: Unavailable) -> Status {
    Status::unavailable(format!(
        "{error}; what was asked may still take effect: ask again"
    ))
}
