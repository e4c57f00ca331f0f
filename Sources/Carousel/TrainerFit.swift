import CCarousel
import LSTM

extension carousel_fit_options: VersionedStruct {}

@_cdecl("carousel_trainer_fit") @implementation
public func carousel_trainer_fit(
  _ trainer: OpaquePointer?, _ data: UnsafePointer<carousel_training_data>?,
  _ validation: UnsafePointer<carousel_training_data>?,
  _ options: UnsafePointer<carousel_fit_options>?
) -> carousel_status {
  entry { () throws(EngineError) in
    let object = try TrainerObject.of(trainer)
    let data = try object.data(data, "data")
    var validationData: TrainingData?
    if validation != nil { validationData = try object.data(validation, "validation") }
    let settings = try Versioned.read(options, "options")
    let fit = try settings.fit()
    let callback = settings.callback
    let context = settings.context
    let isFinished = try object.change { (trainer) throws(EngineError) in
      try trainer.fit(data, validation: validationData, options: fit) { event in
        guard let callback else { return true }
        var told = carousel_fit_event(event)
        return callback(&told, context) == 0
      }
    }
    guard isFinished else {
      throw EngineError(.interrupted, "the callback asked to stop")
    }
  }
}

extension carousel_fit_options {
  fileprivate func fit() throws(EngineError) -> FitOptions {
    var fit = FitOptions()
    fit.epochs = epochs == 0 ? 1 : try Argument.size(epochs, "options->epochs")
    fit.batchSize = batch_size == 0 ? 32 : try Argument.size(batch_size, "options->batch_size")
    fit.shuffles = no_shuffle == 0
    fit.validationSplit = validation_split
    if early_stopping != 0 {
      fit.earlyStopping = .init(
        patience: try Argument.size(patience, "options->patience", from: 0),
        minimumDelta: minimum_delta, restoresBest: keep_last == 0)
    }
    return fit
  }
}

extension carousel_fit_event {
  fileprivate init(_ event: FitEvent) {
    self.init()
    struct_size = MemoryLayout<carousel_fit_event>.size
    epoch = Int64(event.epoch)
    batch = Int64(event.batch)
    batch_count = Int64(event.batchCount)
    step = Int64(event.step)
    is_end_of_epoch = event.isEndOfEpoch ? 1 : 0
    loss = event.loss
    copy(event.metrics, to: &metrics)
    gradient_norm = event.gradientNorm
    learning_rate = event.learningRate
    guard let validation = event.validation else { return }
    has_validation = 1
    validation_loss = validation.loss
    copy(validation.metrics, to: &validation_metrics)
  }
}
