//! The service `Registration`.

use std::collections::HashMap;

use rookery_control::{
    AWAITING_MAX, Control, OverloadRule, Policy, RegistrationMode, RegistrationPolicy, Unavailable,
    Window, WindowSetting,
};
use rookery_proto::admin::registration_server::Registration;
use rookery_proto::admin::{
    RegistrationMode as ApiMode, RegistrationPolicy as ApiPolicy, RegistrationRules,
    ResetRegistrationRequest, ResetRegistrationResponse, SetRegistrationRequest,
    SetRegistrationResponse, ShowRegistrationRequest, ShowRegistrationResponse,
    Window as ApiWindow,
};
use rookery_router::captcha::CaptchaKind;
use rookery_router::environment::Environment;
use rookery_router::registration_form::FormField;
use tonic::{Request, Response, Status};

use crate::operator::Operator;

/// Answers for the registration policy.
pub(super) struct RegistrationService {
    operator: Operator,
    control: Control,
}

impl RegistrationService {
    pub(super) fn new(operator: Operator) -> Self {
        let control = operator.control().clone();
        Self { operator, control }
    }

    /// Refuses to let strangers in where they have nobody to complain to.
    fn check_contact(
        &self,
        before: RegistrationMode,
        wanted: RegistrationMode,
        force: bool,
    ) -> Result<(), Status> {
        let opens = wanted.is_open_to_strangers() && !before.is_open_to_strangers();
        if !opens || force || self.operator.allows_strangers() {
            return Ok(());
        }
        Err(Status::failed_precondition(
            "registration would be open to strangers, and `contact.abuse` names nobody to complain to: \
             set it in the configuration and reload, or insist with --force",
        ))
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
            policy: Some(to_api(&policy)),
            version: policy.version,
            overridden: policy.registration_overridden,
            rules: Some(rules(self.operator.environment())),
        }))
    }

    async fn set_registration(
        &self,
        request: Request<SetRegistrationRequest>,
    ) -> Result<Response<SetRegistrationResponse>, Status> {
        let request = request.into_inner();
        let before = self.policy().await?;
        let mut wanted = before.registration.as_ref().clone();
        wanted.mode = match request.mode() {
            ApiMode::Unspecified => wanted.mode,
            ApiMode::Unthrottled => RegistrationMode::Off,
            ApiMode::On => RegistrationMode::On,
            ApiMode::Closed => RegistrationMode::Closed,
            ApiMode::Approval => RegistrationMode::Approval,
            ApiMode::Invite => RegistrationMode::Invite,
        };
        self.check_contact(before.registration.mode, wanted.mode, request.force)?;
        set_windows(&mut wanted, &request.windows)?;
        wanted.overload = match request.overload.as_str() {
            "" => wanted.overload,
            "refuse" => OverloadRule::Refuse,
            "allow_listed" => OverloadRule::AllowListed,
            other => {
                let why = format!("`overload` cannot be `{other}`: refuse or allow_listed");
                return Err(Status::invalid_argument(why));
            }
        };
        let block_ms = request.overload_block_ms;
        wanted.overload_block_ms = block_ms.unwrap_or(wanted.overload_block_ms);
        wanted.limited_often = request.limited_often.unwrap_or(wanted.limited_often);
        set_remembered(&mut wanted, request.remembered_max)?;
        set_awaiting(&mut wanted, request.awaiting_max, request.awaiting_days)?;
        let version = self
            .control
            .set_registration(wanted.clone())
            .await
            .map_err(unavailable)?;
        tracing::info!(
            mode = wanted.mode.as_str(),
            windows = ?request.windows,
            version,
            "registration policy set"
        );
        let policy = Some(to_api(&Policy {
            registration: wanted.into(),
            ..before
        }));
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
        let (version, policy) = (policy.version, Some(to_api(&policy)));
        tracing::info!(version, "registration policy is the configuration's");
        Ok(Response::new(ResetRegistrationResponse { policy, version }))
    }
}

/// How many registrations are remembered; without a word as many as before.
fn set_remembered(policy: &mut RegistrationPolicy, most: Option<u32>) -> Result<(), Status> {
    let most = most.unwrap_or(policy.remembered_max);
    if !(1..=Window::LIMIT_MAX).contains(&most) {
        let why = format!(
            "`remembered_max` cannot be {most}: from 1 to {}",
            Window::LIMIT_MAX
        );
        return Err(Status::invalid_argument(why));
    }
    policy.remembered_max = most;
    Ok(())
}

/// What is told of accounts that await approval; what is not told stays.
fn set_awaiting(
    policy: &mut RegistrationPolicy,
    most: Option<u32>,
    days: Option<u32>,
) -> Result<(), Status> {
    policy.awaiting_days = days.unwrap_or(policy.awaiting_days);
    match most {
        Some(most) if !(1..=AWAITING_MAX).contains(&most) => Err(Status::invalid_argument(
            format!("`awaiting_max` cannot be {most}: from 1 to {AWAITING_MAX}"),
        )),
        most => {
            policy.awaiting_max = most.unwrap_or(policy.awaiting_max);
            Ok(())
        }
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

fn to_api(policy: &Policy) -> ApiPolicy {
    let count = |networks: usize| u32::try_from(networks).unwrap_or(u32::MAX);
    let (lists, policy) = (&policy.lists, &policy.registration);
    let mode = match policy.mode {
        RegistrationMode::Off => ApiMode::Unthrottled,
        RegistrationMode::On => ApiMode::On,
        RegistrationMode::Closed => ApiMode::Closed,
        RegistrationMode::Approval => ApiMode::Approval,
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
        overload: policy.overload.as_str().to_owned(),
        overload_block_ms: policy.overload_block_ms,
        limited_often: policy.limited_often,
        remembered_max: policy.remembered_max,
        networks_allowed: count(lists.allow.len()),
        networks_blocked: count(lists.block.len()),
        allow_only: lists.allow_only,
        awaiting_max: policy.awaiting_max.min(AWAITING_MAX),
        awaiting_days: policy.awaiting_days,
    }
}

/// What is asked of who registers.
fn rules(environment: &Environment) -> RegistrationRules {
    let (form, captcha) = (environment.form.load(), environment.captcha.load());
    let passwords = environment.passwords.load();
    let field = |field: &FormField| match field.required {
        true => format!("{}*", field.name),
        false => field.name.clone(),
    };
    let kind = |kind: &CaptchaKind| match kind {
        CaptchaKind::Image => "image".to_owned(),
        CaptchaKind::Question => "question".to_owned(),
    };
    RegistrationRules {
        fields: form.fields.iter().map(field).collect(),
        redirect_url: form.redirect_url.clone(),
        captchas: captcha.kinds.iter().map(kind).collect(),
        questions: u32::try_from(captcha.questions.len()).unwrap_or(u32::MAX),
        password_length_min: passwords.length_min,
        password_common_refused: passwords.common_refused,
        password_strength_min: passwords.strength_min,
        old_password_asked_after_s: passwords.old_asked_after_s,
    }
}

fn to_window(setting: WindowSetting) -> Option<ApiWindow> {
    setting.0.map(|window| ApiWindow {
        limit: window.limit(),
        seconds: window.per_ms() / 1000,
    })
}

fn unavailable(error: Unavailable) -> Status {
    Status::unavailable(format!(
        "{error}; what was asked may still take effect: ask again"
    ))
}
